-- $1: of these assets, $2: of how many steps. Those that were handed out least often, and that nobody else takes or has taken
-- meanwhile: their number is compared with what it is when they are locked.
with wanted as materialized (
    select first.id, first.unneeded from unnest($1::text[]) as given(asset) cross join lateral (
        select known.id, known.unneeded from flowstone.item_sets as known
        where known.asset = given.asset and known.unneeded is not null
        order by known.unneeded limit $2
    ) as first
    where exists (select from flowstone.item_sets as any_one where any_one.unneeded is not null)
    order by first.unneeded limit $2
), chosen as materialized (
    select item_sets.id from flowstone.item_sets join wanted using (id)
    where item_sets.id = any (array(select wanted.id from wanted)) and item_sets.unneeded = wanted.unneeded
    for update of item_sets skip locked
)
update flowstone.item_sets set unneeded = item_sets.unneeded + 1
where item_sets.id = any (array(select chosen.id from chosen))
returning item_sets.run_id, item_sets.asset, item_sets.key, item_sets.io
