-- $1: a run, $2: how many rows.
delete from flowstone.tokens where hash in (
    select hash from flowstone.tokens where run_id = $1 limit $2)
