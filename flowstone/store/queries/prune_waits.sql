-- $1: runs, $2: how many rows.
delete from flowstone.waits where (waits.run_id, waits.asset, waits.key, waits.name) in (
    select known.run_id, known.asset, known.key, known.name from flowstone.waits as known
    where known.run_id = any ($1::text[]) limit $2)
