delete from flowstone.waits where waits.run_id = $1
