with wanted as materialized (
    select held.asset, held.key from flowstone.step_leases as held where held.run_id = $1
    order by held.asset, held.key
    for update
)
delete from flowstone.step_leases as held using wanted
where held.run_id = $1 and held.asset = wanted.asset and held.key = wanted.key
