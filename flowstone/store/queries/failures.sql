-- $1: the asset; $2: how many, or null. The failures that nothing was recorded after, of the same partition.
select made.run_id, made.asset, made.key, made.status, made.attempt, made.started_at, made.finished_at,
    made.code_version, made.data_version, made.location, made.io, made.size, made.details::text
from flowstone.materializations as made
where made.asset = $1 and made.kept and made.status = 'failed' and not exists (
    select from flowstone.materializations as newer
    where newer.asset = made.asset and newer.key = made.key and newer.kept and newer.arrival > made.arrival
)
order by made.key limit $2
