-- Rows of the feed: $1: number, $2: run, $3: first and $4: last event of each. As in events.sql; the creation of a run is said
-- by its row. A row of starts may begin before, or end after, what is asked for.
select wanted.id, told.*, case when told.kind like 'run.%' then (
        select flowstone.beside(runs.request) from flowstone.runs
        where runs.id = told.run_id and runs.request -> 'beside' is not null
    ) end as beside
from unnest($1::bigint[], $2::text[], $3::bigint[], $4::bigint[]) as wanted(id, run_id, first, last)
cross join lateral (
    select events.number, events.kind, events.at, events.run_id, events.asset, events.key, events.attempt,
        events.details::text, null::text as event, null::text as status, null::timestamptz as started_at,
        null::timestamptz as finished_at, null::text as code_version, null::text as data_version,
        null::text as location, null::text as io, null::bigint as size, null::timestamptz[] as starts_at,
        null::text[] as starts_asset, null::text[] as starts_key, null::text as starts_node
    from flowstone.events
    where events.run_id = wanted.run_id and events.number between wanted.first and wanted.last
    union all
    select made.number, null, null, made.run_id, made.asset, made.key, made.attempt, made.details::text,
        made.event::text, made.status, made.started_at, made.finished_at, made.code_version, made.data_version,
        made.location, made.io, made.size, null, null, null, null
    from flowstone.materializations as made
    where made.run_id = wanted.run_id and made.number between wanted.first and wanted.last and made.listed
    union all
    select starts.number, null, null, starts.run_id, null, null, null, null, null, null, null, null, null, null, null,
        null, null, starts.at, starts.asset, starts.key, starts.node
    from flowstone.starts
    where starts.run_id = wanted.run_id and starts.number between wanted.first and wanted.last + 100000
        and starts.number - cardinality(starts.asset) < wanted.last
    union all
    select 1, 'run.queued', runs.created_at, runs.id, runs.asset, '', null, runs.request::text, null, null, null,
        null, null, null, null, null, null, null, null, null, null
    from flowstone.runs where wanted.first = 1 and runs.id = wanted.run_id
) as told
order by wanted.id, told.number
