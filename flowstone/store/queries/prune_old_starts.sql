delete from flowstone.starts where run_id = $1 and number < $2
