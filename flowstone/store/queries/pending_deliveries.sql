-- $1: pipeline and $2: name of a follower; $3: how many, $4: of one lane; $5: lanes that are left alone.
select lane, number, attempts, told, kind, at, run_id, asset, key, attempt, details, event, status, started_at, finished_at,
    code_version, data_version, location, io, size
from flowstone.pending_deliveries($1, $2, $3, $4, $5::text[])
