-- $1: a run that is parked, and whose row is locked. Whoever waits for it is told.
with steps as materialized (
    select waiting.asset, waiting.key, row_number() over (order by waiting.asset, waiting.key) as place,
        count(*) over () as steps
    from (
        select distinct waits.asset, waits.key from flowstone.waits
        where waits.run_id = $1 and waits.status = 'open' and waits.kind <> 'timeout'
    ) as waiting
), counted as (
    select count(*) as steps from steps
), ended as (
    update flowstone.runs set status = 'cancelled', last_event = runs.last_event + counted.steps + 1, parked_at = null,
        cancelled = runs.cancelled + counted.steps, finished_at = clock_timestamp(),
        finish_order = nextval('flowstone.finishes')
    from counted where runs.id = $1
    returning runs.id, runs.last_event, runs.asset
), recorded as (
    insert into flowstone.materializations (run_id, asset, key, number, status, attempt, finished_at, io, arrival)
    select ended.id, steps.asset, steps.key, ended.last_event - 1 - steps.steps + steps.place, 'cancelled', 0,
        clock_timestamp(), 'default', nextval('flowstone.arrivals')
    from ended cross join steps
), noted as (
    insert into flowstone.events (run_id, number, kind, at, asset, key, details)
    select ended.id, ended.last_event, 'run.finished', clock_timestamp(), ended.asset, '', '{"status":"cancelled"}'
    from ended
)
select pg_notify('flowstone', 'finished:' || ended.id) from ended
