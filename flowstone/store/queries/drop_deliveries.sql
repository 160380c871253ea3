-- $1: how many. What was to be delivered to followers that are gone, which are looked for by one step for each there is or was.
with recursive owners(id) as (
    (select outbox.follower from flowstone.outbox order by outbox.follower limit 1)
    union all
    select (select outbox.follower from flowstone.outbox where outbox.follower > owners.id order by outbox.follower limit 1)
    from owners where owners.id is not null
), gone as materialized (
    select known.place
    from owners cross join lateral (
        select outbox.ctid as place from flowstone.outbox
        where outbox.follower = owners.id order by outbox.lane, outbox.number limit $1 for update
    ) as known
    where owners.id is not null and not exists (select from flowstone.followers where followers.id = owners.id)
    limit $1
)
delete from flowstone.outbox where outbox.ctid = any (array(select gone.place from gone))
returning outbox.follower
