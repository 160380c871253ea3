-- $1: pipelines, $2: nodes that are gone, $3: how many, $4: an arrival, $5: how many runs to look at. Runs that these nodes own;
-- and of the first runs behind that arrival that are not parked, those without an owner that the queue does not have
-- either. With each, and in a row of its own where there is none: how many were looked at, and the last of them.
with page as materialized (
    select runs.id, runs.arrival, runs.owner from flowstone.runs
    where runs.finish_order is null and runs.status <> 'waiting' and runs.arrival > $4
    order by runs.arrival limit $5
), found as materialized (
    select runs.id from flowstone.runs
    where runs.finish_order is null and runs.owner is not null and runs.owner = any ($2::text[])
        and runs.status <> 'waiting' and runs.pipeline = any ($1::text[])
    union all
    select page.id from page
    -- A look for each, where `not exists` would be joined with the whole queue; by the collation of the queue's index.
    where page.owner is null and (select queue.id from flowstone.queue
        where queue.dedupe_key = page.id collate "default" and queue.status in ('queued', 'picked') limit 1) is null
)
select looked.runs as looked_at, looked.arrival as last, orphan.*
from (select count(*) as runs, max(page.arrival) as arrival from page) as looked
left join (
    select runs.id, runs.pipeline, runs.asset, runs.request::text, runs.status, runs.created_at, runs.started_at,
        runs.finished_at, runs.owner, runs.epoch, runs.total, runs.key, runs.priority, runs.succeeded, runs.failed,
        runs.skipped, runs.reused, runs.cancelled, runs.arrival
    from found join flowstone.runs on runs.id = found.id
    where runs.pipeline = any ($1::text[])
    order by runs.priority desc, runs.arrival limit $3
) as orphan on true
order by orphan.priority desc, orphan.arrival
