-- $1: runs, of which nothing else is left.
delete from flowstone.runs where runs.id = any ($1::text[])
