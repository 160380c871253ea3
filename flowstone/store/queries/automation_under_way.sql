-- $1: a pipeline; $2: a name. The runs that it asked for and that are not over.
select runs.id from flowstone.automation_fires as fires
join flowstone.runs on runs.id = any(fires.runs)
where fires.pipeline = $1 and fires.name = $2 and runs.finish_order is null
