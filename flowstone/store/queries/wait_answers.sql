-- $1: the run, $2: asset, $3: key. What a step has: answers to its waits, what it did once, and tokens not used.
select waits.run_id, waits.asset, waits.key, waits.name, waits.kind, waits.attempt, waits.asked_at, waits.deadline,
    waits.status, waits.answer::text, waits.answered_at, waits.about::text, waits.arrival
from flowstone.waits
where waits.run_id = $1 and waits.asset = $2 and waits.key = $3 and waits.status in ('answered', 'early')
