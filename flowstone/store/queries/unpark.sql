-- $1: runs, which are parked, and whose rows are locked. They are so no more; their pipelines and priorities are returned.
-- Who waits for them is told, and who takes what is in the queue, into which they go with this.
with past as (
    delete from flowstone.waits where waits.run_id = any ($1::text[]) and waits.kind = 'timeout'
), unparked as (
    update flowstone.runs set status = 'running', parked_at = null,
        spent = runs.spent + coalesce(extract(epoch from clock_timestamp() - runs.parked_at)::double precision, 0)
    where runs.id = any ($1::text[]) and runs.status = 'waiting' and runs.owner is null
    returning runs.id, runs.pipeline, runs.priority
)
select unparked.id, unparked.pipeline, unparked.priority, pg_notify('flowstone', 'woken:' || unparked.id),
    pg_notify('flowstone', 'queued:' || unparked.pipeline)
from unparked order by unparked.id
