-- $1: runs, whose rows are locked, $2: how many waits. Ends those of them whose deadlines have passed; a sleep has its
-- answer by that.
with due as materialized (
    select waits.run_id, waits.asset, waits.key, waits.name from flowstone.waits
    where waits.run_id = any ($1::text[]) and waits.status = 'open' and waits.deadline <= statement_timestamp()
    order by waits.deadline limit $2
)
update flowstone.waits set status = case when waits.kind = 'sleep' then 'answered' else 'expired' end,
    answered_at = clock_timestamp()
from due where waits.run_id = due.run_id and waits.asset = due.asset and waits.key = due.key and waits.name = due.name
returning waits.run_id, waits.asset, waits.key, waits.attempt, waits.name, waits.kind
