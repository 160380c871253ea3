-- $1: duties that there are no more.
with gone as materialized (
    select held.name from flowstone.duties as held where held.name = any ($1::text[])
    order by held.name for update
)
delete from flowstone.duties as held using gone where held.name = gone.name
