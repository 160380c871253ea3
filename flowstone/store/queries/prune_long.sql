-- $1: events that stay of a finished run; $2: how many runs now. What is older is not shown any more, and then deleted.
update flowstone.runs set first_event = runs.last_event - $1 + 1
where runs.id in (
    select long_one.id from flowstone.runs as long_one where long_one.long order by long_one.id limit $2
    for update skip locked)
returning runs.id, runs.first_event
