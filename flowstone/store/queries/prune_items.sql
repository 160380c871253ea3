-- The items of a run's steps that have no value. Those of a value go when it is deleted.
with gone as materialized (
    select known.id from flowstone.item_sets as known
    where known.run_id = $1 and not exists (
        select from flowstone.materializations as made
        where made.run_id = known.run_id and made.asset = known.asset and made.key = known.key
            and made.status = 'succeeded')
    for update of known
), forgotten as (
    delete from flowstone.payloads where location in (
        select items.location from flowstone.items join gone on items.set_id = gone.id)
)
delete from flowstone.item_sets where id in (select id from gone)
