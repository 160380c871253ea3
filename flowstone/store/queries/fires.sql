-- $1: a pipeline; $2: a name; $3: how many. With the status of each run that is known, in the order of the runs.
select fires.fire::text, array(
    select runs.status from unnest(fires.runs) with ordinality as asked(id, place)
    left join flowstone.runs on runs.id = asked.id order by asked.place
) as statuses
from flowstone.automation_fires as fires
where fires.pipeline = $1 and fires.name = $2
order by fires.version desc limit $3
