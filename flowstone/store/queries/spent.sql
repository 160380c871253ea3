select runs.spent from flowstone.runs where runs.id = $1
