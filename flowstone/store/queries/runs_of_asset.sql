-- $1: those before this run, or null; $2: how many; $3: statuses; $4: an asset they were asked for, alone or beside others.
-- As runs_by_status.
with bound as materialized (
    select case when $1::text is null then 9223372036854775807
        else (select runs.arrival from flowstone.runs where runs.id = $1) end as arrival
)
select found.* from unnest($3::text[]) as wanted(status) cross join bound cross join lateral (
    (select runs.id, runs.pipeline, runs.asset, runs.request::text, runs.status, runs.created_at, runs.started_at, runs.finished_at,
    runs.owner, runs.epoch, runs.total, runs.key, runs.priority, runs.succeeded, runs.failed, runs.skipped,
    runs.reused, runs.cancelled, runs.arrival
    from flowstone.runs
    where runs.asset = $4 and runs.status = wanted.status and runs.arrival < bound.arrival
    order by runs.arrival desc limit $2)
    union all
    (select runs.id, runs.pipeline, runs.asset, runs.request::text, runs.status, runs.created_at, runs.started_at, runs.finished_at,
    runs.owner, runs.epoch, runs.total, runs.key, runs.priority, runs.succeeded, runs.failed, runs.skipped,
    runs.reused, runs.cancelled, runs.arrival
    from flowstone.runs
    where runs.request -> 'beside' is not null and flowstone.beside(runs.request) @> array[$4::text]
        and runs.status = wanted.status and runs.arrival < bound.arrival
    order by runs.arrival desc limit $2)
) as found
order by found.arrival desc limit $2
