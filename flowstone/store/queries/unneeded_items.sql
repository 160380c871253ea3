-- $1: of these assets, $2: of how many steps. Those that were handed out least often, and that nobody else is taking now.
with chosen as materialized (
    select item_sets.id from flowstone.item_sets
    where item_sets.id = any (array(
        select first.id from unnest($1::text[]) as wanted(asset) cross join lateral (
            select known.id, known.unneeded from flowstone.item_sets as known
            where known.asset = wanted.asset and known.unneeded is not null
            order by known.unneeded limit $2
        ) as first
        where exists (select from flowstone.item_sets as any_one where any_one.unneeded is not null)
        order by first.unneeded limit $2))
    for update skip locked
)
update flowstone.item_sets set unneeded = item_sets.unneeded + 1 from chosen
where item_sets.id = chosen.id and item_sets.unneeded is not null
returning item_sets.run_id, item_sets.asset, item_sets.key, item_sets.io
