-- $1: the run, $2: the reason as JSON. Whoever owns the run is told.
with asked as (
    update flowstone.runs set cancelling = true, last_event = runs.last_event + 1 where runs.id = $1
    returning runs.id, runs.last_event, runs.asset
), noted as (
    insert into flowstone.events (run_id, number, kind, at, asset, key, details)
    select asked.id, asked.last_event, 'run.cancel_requested', clock_timestamp(), asked.asset, '', $2::json from asked
)
select pg_notify('flowstone', 'cancel:' || asked.id) from asked
