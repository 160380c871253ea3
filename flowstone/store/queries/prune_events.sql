-- $1: a run, $2: how many.
delete from flowstone.events where (run_id, number) in (
    select run_id, number from flowstone.events where run_id = $1 limit $2)
