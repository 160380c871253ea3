-- $1: asset, or null for any, $2: how many. Waits for approval that are left to be decided, the newest first: those whose
-- deadline has passed are not, though nobody may have recorded that yet.
select waits.run_id, waits.asset, waits.key, waits.name, waits.kind, waits.attempt, waits.asked_at, waits.deadline,
    waits.status, waits.answer::text, waits.answered_at, waits.about::text
from flowstone.waits
where waits.kind = 'approval' and waits.status = 'open' and (waits.deadline is null or waits.deadline > now())
    and ($1::text is null or waits.asset = $1)
order by waits.asked_at desc limit $2
