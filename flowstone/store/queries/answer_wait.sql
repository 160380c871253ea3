-- $1: a run, whose row is locked, $2: asset, $3: key, $4: name, $5: the answer as JSON, $6: the request. Nothing is returned if the wait is
-- not open, or over.
update flowstone.waits set status = 'answered', answer = $5::json, answered_at = clock_timestamp(),
    answered_by = $6
where waits.run_id = $1 and waits.asset = $2 and waits.key = $3 and waits.name = $4 and waits.status = 'open'
    and waits.kind <> 'timeout' and (waits.deadline is null or waits.deadline > clock_timestamp())
returning waits.run_id, waits.asset, waits.key, waits.name, waits.kind, waits.attempt, waits.asked_at, waits.deadline,
    waits.status, waits.answer::text, waits.answered_at
