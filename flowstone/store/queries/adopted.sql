-- Unfinished runs that were taken over again though nothing had come of it, and how long ago.
select runs.id, runs.pipeline, runs.adoptions,
    extract(epoch from clock_timestamp() - runs.adopted_at)::double precision as seconds
from flowstone.runs where runs.finish_order is null and runs.adoptions > 1
order by runs.adoptions desc, runs.arrival limit 10
