-- $1: the run, $2: assets, $3: keys, $4: attempts.
select events.asset, events.key
from unnest($2::text[], $3::text[], $4::integer[]) as wanted(asset, key, attempt)
join flowstone.events
    on events.run_id = $1 and events.asset = wanted.asset and events.key = wanted.key
        and events.attempt = wanted.attempt and events.kind = 'step.started'
union
select wanted.asset, wanted.key
from flowstone.starts cross join unnest(starts.asset, starts.key) as begun(asset, key)
join unnest($2::text[], $3::text[], $4::integer[]) as wanted(asset, key, attempt)
    on wanted.asset = begun.asset and wanted.key = begun.key and wanted.attempt = 1
where starts.run_id = $1
