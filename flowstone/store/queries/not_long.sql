-- $1: runs, of which only the events that stay are left.
with held as materialized (
    select runs.id from flowstone.runs where runs.id = any ($1::text[]) order by runs.id for update
)
update flowstone.runs set long = false from held where runs.id = held.id
