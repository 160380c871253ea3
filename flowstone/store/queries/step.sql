-- $1: runs, $2: assets, $3: keys, of as many steps.
select made.run_id, made.asset, made.key, made.status, made.attempt, made.started_at, made.finished_at,
    made.code_version, made.data_version, made.location, made.io, made.size, made.details::text
from unnest($1::text[], $2::text[], $3::text[]) as wanted(run_id, asset, key)
join flowstone.materializations as made using (run_id, asset, key)
where made.listed
