-- $1: runs, $2: how many. Items of their steps that have no value, as forget_items. Those of a value go when it is deleted.
with known as materialized (
    select item_sets.id from flowstone.item_sets
    where item_sets.run_id = any ($1::text[]) and not exists (
        select from flowstone.materializations as made
        where made.run_id = item_sets.run_id and made.asset = item_sets.asset and made.key = item_sets.key
            and made.status = 'succeeded')
    order by item_sets.run_id, item_sets.asset, item_sets.key
    for update of item_sets
), chosen as materialized (
    select items.set_id, items.position from known join flowstone.items on items.set_id = known.id
    limit $2
), gone as (
    delete from flowstone.items using chosen
    where items.set_id = chosen.set_id and items.position = chosen.position
    returning items.location
), forgotten as (
    delete from flowstone.payloads where payloads.location = any (array(select gone.location from gone))
), emptied as (
    delete from flowstone.item_sets
    where item_sets.id in (select known.id from known) and (select count(*) from chosen) < $2
)
select count(*) as count from chosen
