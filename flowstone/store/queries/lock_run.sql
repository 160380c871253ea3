select runs.asset, runs.owner, runs.status, runs.cancelling, runs.submitted, runs.finish_order is not null as finished,
    runs.last_event
from flowstone.runs where runs.id = $1 for update
