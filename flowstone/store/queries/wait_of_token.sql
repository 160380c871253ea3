-- $1: the hash of a token. The wait that it is for.
select waits.run_id, waits.asset, waits.key, waits.name, waits.kind, waits.attempt, waits.asked_at, waits.deadline,
    waits.status, waits.answer::text, waits.answered_at, waits.about::text, waits.arrival
from flowstone.tokens join flowstone.waits on waits.run_id = tokens.run_id and waits.asset = tokens.asset
    and waits.key = tokens.key and waits.name = tokens.name
where tokens.hash = $1
