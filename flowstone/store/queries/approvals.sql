-- $1: statuses, or an empty array for all, $2: asset, or null for any, $3: how many, $4: after which one, by its number, or null.
-- Waits for approval, the newest first.
-- One whose deadline has passed is what becomes of it (see expire_waits), though nobody may have recorded that yet.
select waits.run_id, waits.asset, waits.key, waits.name, waits.kind, waits.attempt, waits.asked_at, waits.deadline,
    standing.status, waits.answer::text, waits.answered_at, waits.about::text, waits.arrival
from flowstone.waits cross join lateral (
    select case when waits.status <> 'open' or waits.deadline is null or waits.deadline > now() then waits.status
        when waits.about ->> 'on_timeout' = 'approve' then 'answered'
        when waits.about ->> 'on_timeout' = 'reject' then 'rejected'
        else 'expired' end as status
) as standing
where waits.kind = 'approval' and (cardinality($1::text[]) = 0 or standing.status = any ($1::text[]))
    and ($2::text is null or waits.asset = $2)
    and waits.arrival < coalesce($4::bigint, 9223372036854775807)
order by waits.arrival desc limit $3
