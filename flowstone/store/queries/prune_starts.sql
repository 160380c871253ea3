-- $1: runs, $2: how many rows.
delete from flowstone.starts where (starts.run_id, starts.number) in (
    select known.run_id, known.number from flowstone.starts as known where known.run_id = any ($1::text[]) limit $2)
