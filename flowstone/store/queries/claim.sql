update flowstone.runs set owner = $2, epoch = runs.epoch + 1
where runs.id = $1 and runs.finish_order is null and runs.epoch = $3
returning runs.id, runs.pipeline, runs.asset, runs.request::text, runs.status, runs.created_at, runs.started_at, runs.finished_at,
    runs.owner, runs.epoch, runs.total, runs.key, runs.priority, runs.succeeded, runs.failed, runs.skipped,
    runs.reused, runs.cancelled
