-- $1: asset, or null for any, $2: how many, $3, $4: after which one, by its instant and id, or nulls. Waits for
-- approval that are left to be decided, the newest first: those whose deadline has passed are not, though nobody may have
-- recorded that yet.
select waits.run_id, waits.asset, waits.key, waits.name, waits.kind, waits.attempt, waits.asked_at, waits.deadline,
    waits.status, waits.answer::text, waits.answered_at, waits.about::text
from flowstone.waits
where waits.kind = 'approval' and waits.status = 'open' and (waits.deadline is null or waits.deadline > now())
    and ($1::text is null or waits.asset = $1)
    and ($3::timestamptz is null or (waits.asked_at, waits.id) < ($3, $4::text))
order by waits.asked_at desc, waits.id desc limit $2
