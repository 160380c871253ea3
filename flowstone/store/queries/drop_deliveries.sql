-- What was to be delivered to followers that are gone. Looked for by one step for each follower there is or was.
with recursive owners(id) as (
    (select outbox.follower from flowstone.outbox order by outbox.follower limit 1)
    union all
    select (select outbox.follower from flowstone.outbox where outbox.follower > owners.id order by outbox.follower limit 1)
    from owners where owners.id is not null
), gone as materialized (
    select outbox.follower, outbox.lane, outbox.number
    from owners join flowstone.outbox on outbox.follower = owners.id
    where not exists (select from flowstone.followers where followers.id = owners.id)
    order by outbox.follower, outbox.lane, outbox.number
    for update of outbox
)
delete from flowstone.outbox using gone
where outbox.follower = gone.follower and outbox.lane = gone.lane and outbox.number = gone.number
