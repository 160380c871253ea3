-- $1: runs, $2: how many rows.
delete from flowstone.tokens where tokens.hash in (
    select known.hash from flowstone.tokens as known where known.run_id = any ($1::text[]) limit $2)
