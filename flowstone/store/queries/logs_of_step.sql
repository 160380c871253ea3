-- As logs.sql, of $4: an asset, at $5: a partition; null: at any.
select logs.number, logs.asset, logs.key, logs.attempt, extract(epoch from logs.at)::double precision as at, logs.lines
from flowstone.logs
where logs.run_id = $1 and logs.number > $2 and logs.asset = $4 and ($5::text is null or logs.key = $5)
order by logs.number limit $3
