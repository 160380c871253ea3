-- $1: the set, $2: keys; returns how many were new. In the order given.
with added as (
    insert into flowstone.partition_keys (set, key)
    select $1, given.key from (
        select each.key, min(each.place) as place from unnest($2::text[]) with ordinality as each(key, place)
        group by each.key
    ) as given
    order by given.place
    on conflict do nothing
    returning 1
)
select count(*) as count from added
