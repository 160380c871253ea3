-- $1: pipelines, $2: how many. Runs in the queue, in the order in which they are taken.
select runs.id, runs.pipeline, runs.asset, runs.request::text, runs.status, runs.created_at, runs.started_at, runs.finished_at,
    runs.owner, runs.epoch, runs.total, runs.key, runs.priority, runs.succeeded, runs.failed, runs.skipped,
    runs.reused, runs.cancelled
from flowstone.queue join flowstone.runs on runs.id = queue.dedupe_key
where queue.status = 'queued' and queue.entrypoint = any ($1::text[])
    and runs.owner is null and runs.finish_order is null
order by queue.priority desc, queue.id limit $2
