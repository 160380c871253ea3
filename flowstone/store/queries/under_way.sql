-- $1: asset, $2: key. Unfinished runs in which this step has no record yet, newest first, and whether it has begun.
select runs.id, runs.pipeline, runs.asset, runs.request::text, runs.status, runs.created_at, runs.started_at,
    runs.finished_at, runs.owner, runs.epoch, runs.total, runs.key, runs.priority, runs.succeeded, runs.failed,
    runs.skipped, runs.reused, runs.cancelled,
    exists (select from flowstone.events where events.run_id = runs.id and events.asset = $1 and events.key = $2
        and events.kind = 'step.started')
    -- Few rows have the key, so few are taken apart.
    or exists (select from flowstone.starts cross join unnest(starts.asset, starts.key) as begun(asset, key)
        where starts.run_id = runs.id and $2 = any (starts.key) and begun.asset = $1 and begun.key = $2) as begun
from flowstone.runs
where runs.finish_order is null and not exists (
    select from flowstone.materializations as made
    where made.run_id = runs.id and made.asset = $1 and made.key = $2)
order by runs.arrival desc limit 1000
