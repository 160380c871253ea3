-- $1: a run, whose row is locked, $2: asset, $3: key, $4: name, $5: the answer as JSON, $6: the request, $7: answered or
-- rejected. Nothing is returned if the wait is not left for an answer, or over.
with before as materialized (
    select waits.status from flowstone.waits
    where waits.run_id = $1 and waits.asset = $2 and waits.key = $3 and waits.name = $4
)
update flowstone.waits set status = $7, answer = $5::json, answered_at = clock_timestamp(), answered_by = $6
from before
where waits.run_id = $1 and waits.asset = $2 and waits.key = $3 and waits.name = $4 and waits.kind <> 'timeout'
    and waits.status in ('open', 'early') and (waits.deadline is null or waits.deadline > clock_timestamp())
    and not exists (
        select from flowstone.materializations as ended
        where ended.run_id = $1 and ended.asset = $2 and ended.key = $3)
returning waits.run_id, waits.asset, waits.key, waits.name, waits.kind, waits.attempt, waits.asked_at, waits.deadline,
    waits.status, waits.answer::text, waits.answered_at, waits.about::text, before.status as before
