-- $1: runs, whose rows are locked and of which that was not asked yet, $2: why and by whom as JSON. Who owns them is told.
with asked as (
    update flowstone.runs set cancelling = true, last_event = runs.last_event + 1 where runs.id = any ($1::text[])
    returning runs.id, runs.last_event, runs.asset
), noted as (
    insert into flowstone.events (run_id, number, kind, at, asset, key, details)
    select asked.id, asked.last_event, 'run.cancel_requested', clock_timestamp(), asked.asset, '', $2::json from asked
)
select pg_notify('flowstone', 'cancel:' || asked.id) from asked
