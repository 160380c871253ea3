-- $1: runs, whose rows are locked, and of each step of them that goes on or was denied what it waited for: $2: asset, $3:
-- key, $4: attempt, $5: name of the wait, $6: who approved it, or null, $7: whether it goes on. What was parked is so no
-- more, and is to be put in the queue unless somebody has claimed it (`parked`). Whoever drives or waits for such a run is
-- told; and of one that waits in the queue already, again: whoever looked there meanwhile has passed over what is locked.
with given as materialized (
    select named.*, row_number() over (partition by named.run_id, named.woken order by named.place) as step
    from unnest($1::text[], $2::text[], $3::text[], $4::integer[], $5::text[], $6::text[], $7::boolean[])
        with ordinality as named(run_id, asset, key, attempt, name, by, woken, place)
), told as (
    insert into flowstone.events (run_id, number, kind, at, asset, key, attempt, details)
    select given.run_id, runs.last_event + given.step, 'step.woken', clock_timestamp(), given.asset, given.key,
        given.attempt, json_strip_nulls(json_build_object('name', given.name, 'by', given.by))
    from given join flowstone.runs on runs.id = given.run_id where given.woken
), counted as (
    select given.run_id, count(*) filter (where given.woken) as steps from given group by given.run_id
), past as (
    delete from flowstone.waits using counted
    where waits.run_id = counted.run_id and waits.kind = 'timeout'
), woken as (
    update flowstone.runs set last_event = runs.last_event + counted.steps, parked_at = null,
        status = case when before.status = 'waiting' then 'running' else before.status end,
        spent = before.spent + coalesce(extract(epoch from clock_timestamp() - before.parked_at)::double precision, 0)
    from counted join flowstone.runs as before on before.id = counted.run_id
    where runs.id = counted.run_id
    returning runs.id, runs.pipeline, runs.priority, before.status = 'waiting' and runs.owner is null as parked,
        runs.owner is null as queued
)
select woken.id, woken.pipeline, woken.priority, woken.parked, pg_notify('flowstone', 'woken:' || woken.id),
    case when woken.queued then pg_notify('flowstone', 'queued:' || woken.pipeline) end
from woken
