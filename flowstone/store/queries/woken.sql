-- $1: the run, $2: the number of the last such event that is known. What woke steps of it.
select events.number, events.kind, events.at, events.run_id, events.asset, events.key, events.attempt,
    events.details::text
from flowstone.events where events.run_id = $1 and events.number > $2 and events.kind = 'step.woken'
order by events.number
