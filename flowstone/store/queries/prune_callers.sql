-- $1: runs, whose rows are locked; $2: how many rows to take.
delete from flowstone.callers where (callers.run_id, callers.id) in (
    select known.run_id, known.id from flowstone.callers as known where known.run_id = any ($1::text[])
    order by known.run_id, known.id limit $2)
