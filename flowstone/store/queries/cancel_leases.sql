with marked as (
    update flowstone.step_leases as held set cancelled = true
    from unnest($2::text[], $3::text[]) as wanted(asset, key)
    where held.run_id = $1 and held.asset = wanted.asset and held.key = wanted.key
    returning held.node
)
select pg_notify('flowstone', 'leases:' || told.node) from (select distinct node from marked) as told
