-- $1: pipeline and $2: name of a follower; $3: lane and $4: number of what is given up, $5: when, $6: why. Whether it was there.
with gone as (
    delete from flowstone.outbox using flowstone.followers
    where followers.pipeline = $1 and followers.name = $2
        and outbox.follower = followers.id and outbox.lane = $3 and outbox.number = $4
    returning outbox.follower
)
update flowstone.followers set given_up = followers.given_up + 1, failed_at = $5, failure = $6::json
from gone where followers.id = gone.follower
returning followers.id
