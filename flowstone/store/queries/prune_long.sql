-- $1: events that stay of a finished run; $2: how many runs now.
update flowstone.runs set first_event = runs.last_event - $1 + 1
where runs.id in (
    select id from flowstone.runs as long
    where long.finish_order is not null and long.last_event - long.first_event >= 10000 limit $2
    for update skip locked)
returning runs.id, runs.first_event
