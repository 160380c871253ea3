-- $1: the node, $2: pipelines, $3: how many, $4: runs to be left alone. Runs leave the queue and become the node's.
-- A run's row is locked before its job, as everywhere. What somebody else is just taking is passed over, so more
-- jobs are looked at than are wanted. No time is asked: what is in the queue is due.
with waiting as materialized (
    select job.dedupe_key as run_id, job.priority, job.id
    from unnest($2::text[]) as wanted(pipeline) cross join lateral (
        select queue.dedupe_key, queue.priority, queue.id from flowstone.queue
        where queue.entrypoint = wanted.pipeline and queue.status = 'queued' and queue.dedupe_key <> all ($4::text[])
        order by queue.priority desc, queue.id limit 8 * $3 + 64
    ) as job
    order by job.priority desc, job.id limit 8 * $3 + 64
), chosen as materialized (
    select waiting.run_id, waiting.priority, waiting.id
    from waiting join flowstone.runs on runs.id = waiting.run_id
    where runs.owner is null and runs.finish_order is null
    order by waiting.priority desc, waiting.id limit $3
    for update of runs skip locked
), over as (
    select queue.id from waiting join flowstone.queue on queue.id = waiting.id
    left join flowstone.runs on runs.id = waiting.run_id
    where runs.id is null or runs.finish_order is not null
    for update of queue skip locked
), gone as (
    delete from flowstone.queue
    where queue.id in (select chosen.id from chosen union all select over.id from over)
), owned as (
    update flowstone.runs set owner = $1, epoch = runs.epoch + 1
    from chosen where runs.id = chosen.run_id
    returning runs.*, chosen.priority as job_priority, chosen.id as job
)
select owned.id, owned.pipeline, owned.asset, owned.request::text, owned.status, owned.created_at, owned.started_at,
    owned.finished_at, owned.owner, owned.epoch, owned.total, owned.key, owned.priority, owned.succeeded,
    owned.failed, owned.skipped, owned.reused, owned.cancelled
from owned order by owned.job_priority desc, owned.job
