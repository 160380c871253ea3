-- $1: assets. Of each the success that was recorded last, at whatever partition, also if it was invalidated.
select newest.asset, newest.run_id, newest.valid, made.finished_at
from unnest($1::text[]) as wanted(asset)
cross join lateral (
    select current.asset, current.key, current.run_id, current.valid from flowstone.current
    where current.asset = wanted.asset order by current.arrival desc limit 1
) as newest
join flowstone.materializations as made
    on made.run_id = newest.run_id and made.asset = newest.asset and made.key = newest.key
where made.finished_at is not null
