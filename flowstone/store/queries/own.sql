-- $1: runs that were in the queue, $2: the node that took them.
update flowstone.runs set owner = $2, epoch = runs.epoch + 1
where runs.id = any ($1::text[]) and runs.owner is null and runs.finish_order is null
returning runs.id, runs.pipeline, runs.asset, runs.request::text, runs.status, runs.created_at, runs.started_at, runs.finished_at,
    runs.owner, runs.epoch, runs.total, runs.key, runs.priority, runs.succeeded, runs.failed, runs.skipped,
    runs.reused, runs.cancelled
