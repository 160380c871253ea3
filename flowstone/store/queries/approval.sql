-- $1: the id of an approval.
select waits.run_id, waits.asset, waits.key, waits.name, waits.kind, waits.attempt, waits.asked_at, waits.deadline,
    waits.status, waits.answer::text, waits.answered_at, waits.about::text, waits.arrival
from flowstone.waits where waits.id = $1
