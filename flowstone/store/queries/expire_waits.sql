-- $1: runs, whose rows are locked, $2: how many waits. Ends those of them whose deadlines have passed. A sleep has its
-- answer by that; what becomes of an approval, it says itself.
with due as materialized (
    select waits.run_id, waits.asset, waits.key, waits.name from flowstone.waits
    where waits.run_id = any ($1::text[]) and waits.status = 'open' and waits.deadline <= now()
    order by waits.deadline limit $2
)
update flowstone.waits set answered_at = clock_timestamp(), status = case
        when waits.kind = 'sleep' or (waits.kind = 'approval' and waits.about ->> 'on_timeout' = 'approve') then 'answered'
        when waits.kind = 'approval' and waits.about ->> 'on_timeout' = 'reject' then 'rejected'
        else 'expired' end
from due where waits.run_id = due.run_id and waits.asset = due.asset and waits.key = due.key and waits.name = due.name
returning waits.run_id, waits.asset, waits.key, waits.name, waits.kind, waits.attempt, waits.asked_at, waits.deadline,
    waits.status, waits.answer::text, waits.answered_at, waits.about::text, waits.arrival
