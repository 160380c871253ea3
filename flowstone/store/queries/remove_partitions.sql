-- $1: the set, $2: keys; $3: by whom, $4: why, $5: whether it is noted. Returns how many were there.
with wanted as materialized (
    select known.set, known.key from flowstone.partition_keys as known
    where known.set = $1 and known.key = any ($2::text[])
    order by known.key
    for update
), removed as (
    delete from flowstone.partition_keys as known using wanted
    where known.set = wanted.set and known.key = wanted.key
    returning 1
), noted as (
    insert into flowstone.audit (action, by, name, reason, details)
    select 'partitions.removed', $3, $1::text, $4, json_build_object('keys', count(*))
    from removed where $5::boolean having count(*) > 0
)
select count(*) as count from removed
