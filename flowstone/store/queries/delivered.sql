-- $1: pipeline and $2: name of a follower; of each that was delivered $3: the lane, $4: the number.
with done as materialized (
    select outbox.follower, outbox.lane, outbox.number
    from flowstone.followers cross join unnest($3::text[], $4::bigint[]) as given(lane, number)
    join flowstone.outbox
        on outbox.follower = followers.id and outbox.lane = given.lane and outbox.number = given.number
    where followers.pipeline = $1 and followers.name = $2
    order by outbox.lane, outbox.number
    for update of outbox
)
delete from flowstone.outbox using done
where outbox.follower = done.follower and outbox.lane = done.lane and outbox.number = done.number
