-- $1: assets, $2: their keys.
select made.run_id, made.asset, made.key, made.status, made.attempt, made.started_at, made.finished_at,
    made.code_version, made.data_version, made.location, made.io, made.size, made.details::text
from unnest($1::text[], $2::text[]) as wanted(asset, key)
join flowstone.current using (asset, key)
join flowstone.materializations as made
    on made.run_id = current.run_id and made.asset = current.asset and made.key = current.key
where current.valid
