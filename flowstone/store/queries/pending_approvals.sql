-- $1: asset, or null for any, $2: how many, $3: after which one, by its number, or null. Waits for approval that are left to be
-- decided, the newest first: those whose deadline has passed are not, though nobody may have recorded that yet.
select waits.run_id, waits.asset, waits.key, waits.name, waits.kind, waits.attempt, waits.asked_at, waits.deadline,
    waits.status, waits.answer::text, waits.answered_at, waits.about::text, waits.arrival
from flowstone.waits
where waits.kind = 'approval' and waits.status = 'open' and (waits.deadline is null or waits.deadline > now())
    and ($1::text is null or waits.asset = $1)
    and waits.arrival < coalesce($3::bigint, 9223372036854775807)
order by waits.arrival desc limit $2
