-- $1: the run, $2: the number of the last such event that is known. What became of steps of it that waited: woken, or
-- failed because they were denied what they waited for, which their records say.
select told.* from (
    select events.number, events.kind, events.at, events.run_id, events.asset, events.key, events.attempt,
        events.details::text, null::text as event, null::text as status, null::timestamptz as started_at,
        null::timestamptz as finished_at, null::text as code_version, null::text as data_version,
        null::text as location, null::text as io, null::bigint as size
    from flowstone.events where events.run_id = $1 and events.number > $2 and events.kind = 'step.woken'
    union all
    select made.number, null, null, made.run_id, made.asset, made.key, made.attempt, made.details::text,
        made.event::text, made.status, made.started_at, made.finished_at, made.code_version, made.data_version,
        made.location, made.io, made.size
    from flowstone.materializations as made
    where made.run_id = $1 and made.number > $2 and made.status = 'failed' and made.listed
        and made.details -> 'failure' ->> 'kind' in ('rejected', 'expired')
) as told
order by told.number
