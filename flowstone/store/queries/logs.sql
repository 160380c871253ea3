-- $1: the run; $2: only what has lines after this number; $3: how many chunks.
select logs.number, logs.asset, logs.key, logs.attempt, extract(epoch from logs.at)::double precision as at, logs.lines
from flowstone.logs where logs.run_id = $1 and logs.number > $2 order by logs.number limit $3
