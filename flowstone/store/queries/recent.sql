-- $1: asset, $2: how many, $3: from this place. Its records at all partitions, the one that was recorded last first.
with newest as (
    select made.key, made.arrival from flowstone.materializations as made where made.asset = $1 and made.kept
    order by made.arrival desc limit $2 offset $3
)
select made.run_id, made.asset, made.key, made.status, made.attempt, made.started_at, made.finished_at,
    made.code_version, made.data_version, made.location, made.io, made.size, made.details::text
from newest join flowstone.materializations as made
    on made.asset = $1 and made.key = newest.key and made.arrival = newest.arrival and made.kept
order by made.arrival desc
