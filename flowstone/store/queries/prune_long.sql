-- $1: events that stay of a finished run; $2: how many runs now. What is older is not shown any more, and then
-- deleted. Not before all is delivered to whoever follows.
update flowstone.runs set first_event = runs.last_event - $1 + 1
where runs.id in (
    select long_one.id from flowstone.runs as long_one where long_one.long and not exists (
        select from flowstone.followers cross join lateral (
            select from flowstone.outbox where outbox.follower = followers.id and outbox.lane = long_one.id limit 1
        ) as pending)
    order by long_one.id limit $2
    for update skip locked)
returning runs.id, runs.first_event
