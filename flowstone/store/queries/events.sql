-- $1: the run; $2: those after this number; $3: how many. The ends of steps are told by their records. Starts of first
-- attempts are in one row with the number of the last of them, which counts as one, and may begin before $2.
select told.* from (
    (select events.number, events.kind, events.at, events.run_id, events.asset, events.key, events.attempt,
        events.details::text, null::text as event, null::text as status, null::timestamptz as started_at,
        null::timestamptz as finished_at, null::text as code_version, null::text as data_version,
        null::text as location, null::text as io, null::bigint as size, null::timestamptz[] as starts_at,
        null::text[] as starts_asset, null::text[] as starts_key, null::text as starts_node
    from flowstone.events where events.run_id = $1 and events.number > $2
    order by events.number limit $3)
    union all
    (select made.number, null, null, made.run_id, made.asset, made.key, made.attempt, made.details::text,
        made.event::text, made.status, made.started_at, made.finished_at, made.code_version, made.data_version,
        made.location, made.io, made.size, null, null, null, null
    from flowstone.materializations as made where made.run_id = $1 and made.number > $2 and made.listed
    order by made.number limit $3)
    union all
    (select starts.number, null, null, starts.run_id, null, null, null, null, null, null, null, null, null, null, null,
        null, null, starts.at, starts.asset, starts.key, starts.node
    from flowstone.starts where starts.run_id = $1 and starts.number > $2
    order by starts.number limit $3)
) as told
order by told.number limit $3
