-- $1: finished runs that stay; $2: how many to take now. Those that finished first, that nobody else is
-- taking, and of which all is delivered to whoever follows.
select runs.id from flowstone.runs
where runs.finish_order <= (
    select kept.finish_order from flowstone.runs as kept where kept.finish_order is not null
    order by kept.finish_order desc offset $1 limit 1)
and not exists (
    select from flowstone.followers cross join lateral (
        select from flowstone.outbox where outbox.follower = followers.id and outbox.lane = runs.id limit 1) as pending)
order by runs.finish_order limit $2
for update skip locked
