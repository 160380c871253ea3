-- $1: seconds, and $2: rows that stay; $3: how many at most. The newest stays, whatever its age: readers go on from there.
with oldest as materialized (
    select feed.id, feed.at from flowstone.feed order by feed.id limit $3
), gone as materialized (
    select feed.id from flowstone.feed join oldest on oldest.id = feed.id
    where oldest.at < clock_timestamp() - make_interval(secs => $1)
        and feed.id < (select max(newest.id) from flowstone.feed as newest) - $2::bigint
    order by feed.id
    for update of feed skip locked
)
delete from flowstone.feed using gone where feed.id = gone.id
