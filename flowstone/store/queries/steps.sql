-- $1: the run; $2: from this place; $3: how many, or null.
select made.run_id, made.asset, made.key, made.status, made.attempt, made.started_at, made.finished_at,
    made.code_version, made.data_version, made.location, made.io, made.size, made.details::text
from flowstone.materializations as made where made.run_id = $1 and made.listed
order by made.number offset $2 limit $3
