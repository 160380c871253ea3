-- $1: successes that stay of each asset and partition; $2: how many assets and partitions to look at now; $3: of these
-- assets, or null. What somebody else has locked is passed over, and looked at again the next time. Only for rows of
-- item_sets does it wait, such as while forget_items has them; whoever has them waits for nothing that is locked here.
-- So it may lock what is superseded before all else. What an unfinished run has computed, or reuses, it may still need. What has
-- been found is counted, and not looked for in what else has been found: without statistics that would be done row by row.
with looked_at as materialized (
    select known.asset, known.key from flowstone.superseded as known
    where coalesce(known.kept, 2147483647) > $1 and ($3::text[] is null or known.asset = any ($3))
    order by coalesce(known.kept, 2147483647) desc limit $2
    for update skip locked
), ranked as materialized (
    select looked_at.asset, looked_at.key, version.run_id, version.id, version.place,
        version.needed or version.run_id is not distinct from newest.run_id as stays
    from looked_at left join lateral (
        select current.run_id from flowstone.current
        where current.asset = looked_at.asset and current.key = looked_at.key and current.valid
    ) as newest on true cross join lateral (
        select made.run_id, made.ctid as id, made.status,
            row_number() over (partition by made.status order by made.arrival desc) as place,
            bool_or(made.unfinished) over (partition by coalesce(made.location, made.run_id)) as needed
        from (
            select known.run_id, known.ctid, known.status, known.arrival, known.location,
                exists (select from flowstone.runs where runs.id = known.run_id and runs.finish_order is null) as unfinished
            from flowstone.materializations as known
            where known.asset = looked_at.asset and known.key = looked_at.key and known.kept
        ) as made
    ) as version
    where version.status = 'succeeded'
), gone as materialized (
    select ranked.run_id, ranked.asset, ranked.key, locked.listed, locked.location
    from ranked cross join lateral (
        select made.listed, made.location from flowstone.materializations as made
        where made.ctid = ranked.id and made.kept
        for update skip locked
    ) as locked
    where ranked.place > $1 and not ranked.stays
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
    select each.asset, each.key, sum(each.stays) as kept
    from (
        select looked_at.asset, looked_at.key, 0 as stays from looked_at
        union all select ranked.asset, ranked.key, 1 from ranked
        union all select gone.asset, gone.key, -1 from gone
    ) as each
    group by each.asset, each.key
), noted as (
    update flowstone.superseded as known set kept = counted.kept from counted
    where known.asset = counted.asset and known.key = counted.key
)
select true as looked, unkept.* from unkept
union all select true, deleted.* from deleted
