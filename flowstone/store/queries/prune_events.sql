-- $1: runs, $2: how many rows.
delete from flowstone.events where (events.run_id, events.number) in (
    select known.run_id, known.number from flowstone.events as known where known.run_id = any ($1::text[]) limit $2)
