-- $1: the run, $2: asset, $3: key, $4: attempt, $5: why the end of this attempt cannot be recorded.
update flowstone.step_leases as held set refused = $5
where held.run_id = $1 and held.asset = $2 and held.key = $3 and held.attempt = $4
