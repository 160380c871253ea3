-- $1: asset, or null for any, $2: how many. Waits for approval that nobody has decided, the newest first.
select waits.run_id, waits.asset, waits.key, waits.name, waits.kind, waits.attempt, waits.asked_at, waits.deadline,
    waits.status, waits.answer::text, waits.answered_at, waits.about::text
from flowstone.waits
where waits.kind = 'approval' and waits.status = 'open' and ($1::text is null or waits.asset = $1)
order by waits.asked_at desc limit $2
