-- $1: a pipeline, $2: how many deliveries are counted at most.
select followers.name, followers.kinds, followers.assets, followers.anywhere, followers.given_up, followers.failed_at,
    followers.failure::text, (
        select count(*) from (
            select from flowstone.outbox where outbox.follower = followers.id
            order by outbox.lane, outbox.number limit $2) as counted) as pending
from flowstone.followers where followers.pipeline = $1 order by followers.name
