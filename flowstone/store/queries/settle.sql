delete from flowstone.step_leases as held using unnest($2::text[], $3::text[]) as wanted(asset, key)
where held.run_id = $1 and held.asset = wanted.asset and held.key = wanted.key
