-- $1: assets, $2: their keys; $3: by whom, $4: why, $5: whether it is noted. Returns how many were current.
with wanted as materialized (
    select current.asset, current.key
    from (select distinct asset, key from unnest($1::text[], $2::text[]) as given(asset, key)) as named
    join flowstone.current using (asset, key)
    where current.valid
    order by current.asset, current.key
    for update of current
), gone as (
    update flowstone.current set valid = false from wanted
    where current.asset = wanted.asset and current.key = wanted.key and current.valid
    returning current.asset, current.key
), looked_at as (
    insert into flowstone.superseded as known (asset, key)
    select gone.asset, gone.key from gone order by gone.asset, gone.key
    on conflict (asset, key) do update set kept = null where known.kept is not null
), noted as (
    insert into flowstone.audit (action, by, asset, key, reason, details)
    select 'asset.invalidated', $3, gone.asset, case count(*) when 1 then min(gone.key) else '' end, $4,
        case when count(*) > 1 then json_build_object('partitions', count(*)) end
    from gone where $5::boolean group by gone.asset order by gone.asset
)
select count(*) as count from gone
