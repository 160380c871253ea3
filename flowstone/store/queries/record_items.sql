-- All or nothing, and again without harm. A run that has finished or another owner gives no row.
with run as materialized (
    select runs.id from flowstone.runs
    where runs.id = $1 and runs.finish_order is null and runs.epoch <= $4
    for update
), made as (
    insert into flowstone.item_sets as known (run_id, asset, key, io) select run.id, $2, $3, $13 from run
    on conflict (run_id, asset, key) do update set io = coalesce(nullif(known.io, ''), excluded.io, known.io)
    returning known.id
), recorded as (
    insert into flowstone.items (set_id, position, status, attempt, name, location, failure)
    select made.id, given.position, given.status, given.attempt, given.name, given.location, given.failure::json
    from made, unnest($5::bigint[], $6::smallint[], $7::integer[], $8::text[], $9::text[], $10::text[])
        as given(position, status, attempt, name, location, failure)
    on conflict do nothing
), kept as (
    insert into flowstone.payloads (location, content)
    select given.location, given.content from run, unnest($11::text[], $12::bytea[]) as given(location, content)
    on conflict do nothing
)
select run.id from run
