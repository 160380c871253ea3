-- $1: runs. What is to be known to cancel them.
select runs.id, runs.owner, runs.status, runs.cancelling, runs.finish_order is not null as finished
from flowstone.runs where runs.id = any ($1::text[]) order by runs.id for update
