-- $1: the run, $2: assets, $3: keys, $4: attempts. Starts of first attempts are many in a row of the run; those of a
-- leased attempt are looked for behind what was on record when its lease was given.
with wanted as materialized (
    select given.asset, given.key, given.attempt, case when held.attempt = given.attempt then held.since else 0 end as since
    from unnest($2::text[], $3::text[], $4::integer[]) as given(asset, key, attempt)
    left join flowstone.step_leases as held
        on held.run_id = $1 and held.asset = given.asset and held.key = given.key
)
select events.asset, events.key
from wanted join flowstone.events
    on events.run_id = $1 and events.asset = wanted.asset and events.key = wanted.key
        and events.attempt = wanted.attempt and events.kind = 'step.started'
union
select wanted.asset, wanted.key
from flowstone.starts cross join unnest(starts.asset, starts.key) as begun(asset, key)
join wanted on wanted.asset = begun.asset and wanted.key = begun.key and wanted.attempt = 1
where starts.run_id = $1 and starts.number > (select min(wanted.since) from wanted where wanted.attempt = 1)
    -- No start is behind the last event; with both ends of a range the planner uses the index.
    and starts.number <= (select runs.last_event from flowstone.runs where runs.id = $1)
