-- $1: the run, $2: asset, $3: key, $4: name. One wait.
select waits.run_id, waits.asset, waits.key, waits.name, waits.kind, waits.attempt, waits.asked_at, waits.deadline,
    waits.status, waits.answer::text, waits.answered_at, waits.about::text, waits.arrival, waits.answered_by
from flowstone.waits
where waits.run_id = $1 and waits.asset = $2 and waits.key = $3 and waits.name = $4 and waits.kind <> 'timeout'
