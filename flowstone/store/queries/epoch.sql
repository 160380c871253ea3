-- $1: a run.
select runs.epoch from flowstone.runs where runs.id = $1
