select runs.id from flowstone.runs where runs.owner = $1 and runs.finish_order is null and runs.cancelling order by runs.id
