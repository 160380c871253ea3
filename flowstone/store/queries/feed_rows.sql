-- $1: those from this number on; $2: how many at most.
select feed.id, feed.run_id, feed.first, feed.last, feed.event::text from flowstone.feed
where feed.id >= $1 order by feed.id limit $2
