-- $1: runs, whose rows are locked. Ends their waits whose deadlines have passed; a sleep has its answer by that.
update flowstone.waits set status = case when waits.kind = 'sleep' then 'answered' else 'expired' end,
    answered_at = clock_timestamp()
where waits.run_id = any ($1::text[]) and waits.status = 'open' and waits.deadline <= statement_timestamp()
returning waits.run_id, waits.asset, waits.key, waits.attempt, waits.name, waits.kind
