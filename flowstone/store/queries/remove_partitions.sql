with wanted as materialized (
    select known.set, known.key from flowstone.partition_keys as known
    where known.set = $1 and known.key = any ($2::text[])
    order by known.key
    for update
), removed as (
    delete from flowstone.partition_keys as known using wanted
    where known.set = wanted.set and known.key = wanted.key
    returning 1
)
select count(*) as count from removed
