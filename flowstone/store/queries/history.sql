-- $1: asset, $2: key, $3: how many, $4: from this place.
select made.run_id, made.asset, made.key, made.status, made.attempt, made.started_at, made.finished_at,
    made.code_version, made.data_version, made.location, made.io, made.size, made.details::text
from flowstone.materializations as made where made.asset = $1 and made.key = $2 and made.kept
order by made.arrival desc limit $3 offset $4
