-- $1: the run, $2: asset, $3: key, $4: how many, $5: up to which position, or null. Items of a step with what is kept of
-- them, and how many they were; without a position the step's set goes with the last of them.
with known as materialized (
    select item_sets.id from flowstone.item_sets
    where item_sets.run_id = $1 and item_sets.asset = $2 and item_sets.key = $3
    for update
), chosen as materialized (
    select items.set_id, items.position from known join flowstone.items on items.set_id = known.id
    where items.position <= coalesce($5::bigint, 9223372036854775807)
    order by items.set_id, items.position limit $4
), gone as (
    delete from flowstone.items using chosen
    where items.set_id = chosen.set_id and items.position = chosen.position
    returning items.location
), forgotten as (
    delete from flowstone.payloads where payloads.location = any (array(select gone.location from gone))
), emptied as (
    delete from flowstone.item_sets
    where item_sets.id in (select known.id from known) and (select count(*) from chosen) < $4
        and $5::bigint is null
)
select count(*) as count from chosen
