-- $1: those before this run, or null; $2: how many; $3: statuses; $4: an asset they were asked for, or null; $5: names
-- of tags; $6: those of them whose values are to be these.
select runs.id, runs.pipeline, runs.asset, runs.request::text, runs.status, runs.created_at, runs.started_at, runs.finished_at,
    runs.owner, runs.epoch, runs.total, runs.key, runs.priority, runs.succeeded, runs.failed, runs.skipped,
    runs.reused, runs.cancelled
from flowstone.runs where runs.arrival < case when $1::text is null then 9223372036854775807
    else (select bound.arrival from flowstone.runs as bound where bound.id = $1) end
    and runs.request -> 'tags' is not null and (runs.request -> 'tags')::jsonb ?& $5::text[]
    and (runs.request -> 'tags')::jsonb @> $6::text::jsonb
    and runs.status = any($3::text[]) and ($4::text is null or runs.asset = $4
        or flowstone.beside(runs.request) @> array[$4::text])
order by runs.arrival desc limit $2
