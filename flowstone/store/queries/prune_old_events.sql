delete from flowstone.events where run_id = $1 and number < $2
