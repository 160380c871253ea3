select runs.id, runs.epoch from flowstone.runs where runs.owner = $1 and runs.finish_order is null order by runs.id
