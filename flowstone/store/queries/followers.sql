-- $1: a pipeline, $2: how many deliveries are counted at most.
select followers.name, followers.kinds, followers.assets, followers.anywhere, followers.given_up, followers.failed_at,
    followers.failure::text, followers.failing::text, counted.pending, counted.attempts
from flowstone.followers cross join lateral (
    select count(*) as pending, coalesce(max(waiting.attempts), 0) as attempts from (
        select outbox.attempts from flowstone.outbox where outbox.follower = followers.id
        order by outbox.lane, outbox.number limit $2
    ) as waiting
) as counted
where followers.pipeline = $1 order by followers.name
