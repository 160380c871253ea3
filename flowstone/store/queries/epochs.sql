-- $1: runs.
select runs.id, runs.epoch from flowstone.runs where runs.id = any ($1::text[])
