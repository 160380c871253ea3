-- $1: how many waits. The runs of those whose deadlines have passed.
select distinct due.run_id from (
    select waits.run_id from flowstone.waits
    where waits.status = 'open' and waits.deadline is not null and waits.deadline <= now()
    order by waits.deadline limit $1
) as due
