update flowstone.runs set owner = null
where runs.id = $1 and runs.owner = $2 and runs.finish_order is null
returning runs.pipeline, runs.priority
