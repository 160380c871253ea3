-- $1: the run, $2: assets, $3: keys, $4: attempts. Records of steps, also by an attempt before, which was taken for lost;
-- and what else ended just these attempts. A step that was skipped because of another one has no attempt.
select made.number, null as kind, null::timestamptz as at, made.run_id, made.asset, made.key, made.attempt,
    made.details::text, made.event::text, made.status, made.started_at, made.finished_at, made.code_version,
    made.data_version, made.location, made.io, made.size
from unnest($2::text[], $3::text[], $4::integer[]) as wanted(asset, key, attempt)
join flowstone.materializations as made
    on made.run_id = $1 and made.asset = wanted.asset and made.key = wanted.key and made.attempt between 1 and wanted.attempt
where made.status in ('succeeded', 'failed', 'cancelled', 'skipped')
union all
select events.number, events.kind, events.at, events.run_id, events.asset, events.key, events.attempt,
    events.details::text, null, null, null, null, null, null, null, null, null
from unnest($2::text[], $3::text[], $4::integer[]) as wanted(asset, key, attempt)
join flowstone.events
    on events.run_id = $1 and events.asset = wanted.asset and events.key = wanted.key
        and events.attempt = wanted.attempt and events.kind in ('step.retried', 'step.waiting')
order by number
