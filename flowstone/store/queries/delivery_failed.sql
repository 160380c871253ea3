-- $1: pipeline and $2: name of a follower; $3: lane and $4: number of what was delivered in vain; $5: why, or null.
with vain as (
    update flowstone.outbox set attempts = outbox.attempts + 1 from flowstone.followers
    where followers.pipeline = $1 and followers.name = $2
        and outbox.follower = followers.id and outbox.lane = $3 and outbox.number = $4
    returning outbox.follower
)
update flowstone.followers set failing = $5::json from vain where followers.id = vain.follower and $5::json is not null
