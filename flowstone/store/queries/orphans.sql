-- $1: pipelines, $2: nodes that are gone, $3: how many. Runs that these nodes own, and those without an owner that the
-- queue does not have either, unless they are parked.
select runs.id, runs.pipeline, runs.asset, runs.request::text, runs.status, runs.created_at, runs.started_at, runs.finished_at,
    runs.owner, runs.epoch, runs.total, runs.key, runs.priority, runs.succeeded, runs.failed, runs.skipped,
    runs.reused, runs.cancelled
from flowstone.runs
where runs.finish_order is null and runs.status <> 'waiting' and runs.pipeline = any ($1::text[])
    and case when runs.owner is not null then runs.owner = any ($2::text[])
        else not exists (select from flowstone.queue
            where queue.dedupe_key = runs.id and queue.status in ('queued', 'picked')) end
order by runs.priority desc, runs.arrival limit $3
