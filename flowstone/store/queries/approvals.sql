-- $1: statuses, or an empty array for all, $2: asset, or null for any, $3: how many. Waits for approval, the newest first.
select waits.run_id, waits.asset, waits.key, waits.name, waits.kind, waits.attempt, waits.asked_at, waits.deadline,
    waits.status, waits.answer::text, waits.answered_at, waits.about::text
from flowstone.waits
where waits.kind = 'approval' and (cardinality($1::text[]) = 0 or waits.status = any ($1::text[]))
    and ($2::text is null or waits.asset = $2)
order by waits.asked_at desc limit $3
