-- $1: runs.
with wanted as materialized (
    select held.run_id, held.asset, held.key from flowstone.step_leases as held where held.run_id = any ($1::text[])
    order by held.run_id, held.asset, held.key
    for update
)
delete from flowstone.step_leases as held using wanted
where held.run_id = wanted.run_id and held.asset = wanted.asset and held.key = wanted.key
