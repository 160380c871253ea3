-- $1: pipelines.
select followers.pipeline, followers.name from flowstone.followers
where followers.pipeline = any ($1::text[])
    and exists (select from flowstone.outbox where outbox.follower = followers.id)
