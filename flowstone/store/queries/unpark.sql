-- $1: a run, whose row is locked. If it is parked it is so no more, and its pipeline and priority are returned.
with past as (
    delete from flowstone.waits where waits.run_id = $1 and waits.kind = 'timeout'
)
update flowstone.runs set status = 'running', parked_at = null,
    spent = runs.spent + coalesce(extract(epoch from clock_timestamp() - runs.parked_at)::double precision, 0)
where runs.id = $1 and runs.status = 'waiting' and runs.owner is null
returning runs.pipeline, runs.priority
