-- $1: runs.
select runs.id from flowstone.runs where runs.id = any ($1::text[]) order by runs.id for update
