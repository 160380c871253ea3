-- $1: a run, $2: how many rows.
delete from flowstone.waits where (run_id, asset, key, name) in (
    select run_id, asset, key, name from flowstone.waits where run_id = $1 limit $2)
