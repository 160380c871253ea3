-- As logs.sql from the end: $1: the run; $2: only what ends before this number, or null; $3: how many chunks; $4: an asset, or null; $5: a
-- partition of it, or null.
select logs.number, logs.asset, logs.key, logs.attempt, extract(epoch from logs.at)::double precision as at, logs.lines
from flowstone.logs
where logs.run_id = $1 and logs.number < coalesce($2::bigint, 9223372036854775807)
    and ($4::text is null or logs.asset = $4) and ($5::text is null or logs.key = $5)
order by logs.number desc limit $3
