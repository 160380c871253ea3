-- $1: asset, or null for any, $2: how many. What steps wait for: in the order in which it is over, then, the newest first,
-- what never is by itself. Those whose deadline has passed are none, though nobody may have recorded that yet.
select waits.run_id, waits.asset, waits.key, waits.name, waits.kind, waits.attempt, waits.asked_at, waits.deadline,
    waits.status, waits.answer::text, waits.answered_at, waits.about::text, waits.arrival
from (
    (
        select waits.* from flowstone.waits
        where waits.status = 'open' and waits.kind <> 'timeout' and waits.deadline > now()
            and ($1::text is null or waits.asset = $1)
        order by waits.deadline, waits.arrival limit $2
    ) union all (
        select waits.* from flowstone.waits
        where waits.status = 'open' and waits.kind <> 'timeout' and waits.deadline is null
            and ($1::text is null or waits.asset = $1)
        order by waits.arrival desc limit $2
    )
) as waits
order by waits.deadline, case when waits.deadline is null then -waits.arrival else waits.arrival end limit $2
