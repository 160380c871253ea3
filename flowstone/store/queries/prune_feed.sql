-- $1: seconds, and $2: rows that stay; $3: how many at most. The newest stays, whatever its age: readers go on from there. The
-- rows are given as an array, so that they are found by the index, however wrong the statistics are of a table that grows.
delete from flowstone.feed where feed.id = any (array(
    select oldest.id
    from (select early.id, early.at from flowstone.feed as early order by early.id limit $3) as oldest
    where oldest.at < clock_timestamp() - make_interval(secs => $1)
        and oldest.id < (select max(newest.id) from flowstone.feed as newest) - $2::bigint
    order by oldest.id))
