with wanted as materialized (
    select held.asset, held.key from unnest($2::text[], $3::text[]) as named(asset, key)
    join flowstone.step_leases as held using (asset, key)
    where held.run_id = $1
    order by held.asset, held.key
    for update of held
)
delete from flowstone.step_leases as held using wanted
where held.run_id = $1 and held.asset = wanted.asset and held.key = wanted.key
