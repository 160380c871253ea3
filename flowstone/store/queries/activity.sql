-- $1: assets, $2: how many. Of each that has any, the attempts among its newest records: when the last one ended, and how long
-- each took that was not cancelled.
select wanted.asset, ran.finished_at, coalesce(ran.durations, '{}') as durations
from unnest($1::text[]) as wanted(asset)
cross join lateral (
    select max(made.finished_at) as finished_at,
        array_agg(extract(epoch from made.finished_at - made.started_at)::float8 order by made.arrival)
            filter (where made.status <> 'cancelled') as durations
    from (
        select one.key, one.arrival from flowstone.materializations as one
        where one.asset = wanted.asset and one.kept order by one.arrival desc limit $2
    ) as newest
    join flowstone.materializations as made
        on made.asset = wanted.asset and made.key = newest.key and made.arrival = newest.arrival and made.kept
    where made.started_at is not null
) as ran
where ran.finished_at is not null
