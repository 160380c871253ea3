-- $1: a run, $2: how many rows.
delete from flowstone.starts where (run_id, number) in (
    select run_id, number from flowstone.starts where run_id = $1 limit $2)
