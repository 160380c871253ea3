-- $1: assets. Of each the median of the seconds that its successes took: of the newest five at each of the last twenty of its
-- keys, so that it costs the same however many there are.
select wanted.asset,
    percentile_cont(0.5) within group (order by extract(epoch from made.finished_at - made.started_at))::float8 as seconds
from unnest($1::text[]) as wanted(asset)
cross join lateral (
    select current.key from flowstone.current where current.asset = wanted.asset order by current.key desc limit 20
) as known
cross join lateral (
    select made.started_at, made.finished_at from flowstone.materializations as made
    where made.asset = wanted.asset and made.key = known.key and made.kept and made.status = 'succeeded'
    order by made.arrival desc limit 5
) as made
where made.started_at is not null and made.finished_at is not null
group by wanted.asset
