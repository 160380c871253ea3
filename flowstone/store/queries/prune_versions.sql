-- $1: successes that stay of each asset and partition; $2: how many assets and partitions to look at now; $3: of these
-- assets, or null. What somebody else has locked is passed over, and looked at again the next time. Only for rows of
-- item_sets does it wait, such as while forget_items has them; whoever has them waits for nothing that is locked here.
-- So it may lock what is superseded before all else. What an unfinished run has computed, or reuses, it may still need.
with looked_at as materialized (
    select known.asset, known.key from flowstone.superseded as known
    where coalesce(known.kept, 2147483647) > $1 and ($3::text[] is null or known.asset = any ($3))
    order by coalesce(known.kept, 2147483647) desc limit $2
    for update skip locked
), ranked as materialized (
    select made.run_id, made.asset, made.key, made.listed,
        made.location, row_number() over (partition by made.asset, made.key order by made.arrival desc) as place,
        exists (select from flowstone.current where current.asset = made.asset and current.key = made.key
            and current.run_id = made.run_id and current.valid) as is_current
    from looked_at join flowstone.materializations as made using (asset, key)
    where made.kept and made.status = 'succeeded'
), gone as materialized (
    select made.run_id, made.asset, made.key, made.listed, made.location
    from ranked join flowstone.materializations as made using (run_id, asset, key)
    where ranked.place > $1 and not ranked.is_current and made.kept and not exists (
        select from flowstone.materializations as needed join flowstone.runs on runs.id = needed.run_id
        where needed.asset = made.asset and needed.key = made.key and needed.kept and runs.finish_order is null
            and (needed.run_id = made.run_id or needed.location = made.location))
    for update of made skip locked
), invalid as materialized (
    select current.asset, current.key from gone join flowstone.current using (asset, key, run_id)
    where not current.valid
    for update of current skip locked
), unkept as (
    update flowstone.materializations as made set kept = false from gone
    where gone.listed and made.run_id = gone.run_id and made.asset = gone.asset and made.key = gone.key
    returning made.run_id, made.asset, made.key, made.status, made.attempt, made.started_at, made.finished_at,
    made.code_version, made.data_version, made.location, made.io, made.size, made.details::text
), deleted as (
    delete from flowstone.materializations as made using gone
    where not gone.listed and made.run_id = gone.run_id and made.asset = gone.asset and made.key = gone.key
    returning made.run_id, made.asset, made.key, made.status, made.attempt, made.started_at, made.finished_at,
    made.code_version, made.data_version, made.location, made.io, made.size, made.details::text
), forgotten_payloads as (
    delete from flowstone.payloads where payloads.location = any (array(select gone.location from gone))
), forgotten_inputs as (
    delete from flowstone.inputs using gone
    where inputs.run_id = gone.run_id and inputs.consumer = gone.asset and inputs.consumer_key = gone.key
), known_items as materialized (
    select item_sets.id from gone join flowstone.item_sets using (run_id, asset, key)
    order by item_sets.run_id, item_sets.asset, item_sets.key
    for update of item_sets
), released as (
    update flowstone.item_sets set unneeded = coalesce(item_sets.unneeded, 0) from known_items
    where item_sets.id = known_items.id
), forgotten as (
    delete from flowstone.current using invalid
    where current.asset = invalid.asset and current.key = invalid.key
), counted as materialized (
    select ranked.asset, ranked.key, count(*) as kept from ranked
    where not exists (select from gone
        where gone.run_id = ranked.run_id and gone.asset = ranked.asset and gone.key = ranked.key)
    group by ranked.asset, ranked.key
), noted as (
    update flowstone.superseded as known set kept = coalesce(counted.kept, 0)
    from looked_at left join counted using (asset, key)
    where known.asset = looked_at.asset and known.key = looked_at.key
)
select true as looked, unkept.* from unkept
union all select true, deleted.* from deleted
