-- $1: runs, of which only the events that stay are left.
update flowstone.runs set long = false where runs.id = any ($1::text[])
