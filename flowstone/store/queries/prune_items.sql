-- $1: runs, $2: how many. Items of their steps that have no value: they go, as by forget_items, if all there is of them is
-- here. Others are needed no more, but stay until their values are deleted, as those of a step whose value is forgotten.
with known as materialized (
    select item_sets.id, item_sets.io from flowstone.item_sets
    where item_sets.run_id = any ($1::text[]) and item_sets.unneeded is null and not exists (
        select from flowstone.materializations as made
        where made.run_id = item_sets.run_id and made.asset = item_sets.asset and made.key = item_sets.key
            and made.status = 'succeeded')
    order by item_sets.run_id, item_sets.asset, item_sets.key limit $2
    for update of item_sets
), chosen as materialized (
    select items.set_id, items.position from known join flowstone.items on items.set_id = known.id
    where known.io is null
    limit $2
), gone as (
    delete from flowstone.items using chosen
    where items.set_id = chosen.set_id and items.position = chosen.position
    returning items.location
), forgotten as (
    delete from flowstone.payloads where payloads.location = any (array(select gone.location from gone))
), emptied as (
    delete from flowstone.item_sets
    where item_sets.id in (select known.id from known where known.io is null) and (select count(*) from chosen) < $2
), released as (
    update flowstone.item_sets set unneeded = 0
    where item_sets.id in (select known.id from known where known.io is not null)
)
select greatest((select count(*) from chosen), (select count(*) from known)) as count
