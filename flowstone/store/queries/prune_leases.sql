delete from flowstone.step_leases where run_id = $1
