-- $1: assets, $2: their keys; returns how many were current.
with gone as (
    update flowstone.current set valid = false
    from (select distinct asset, key from unnest($1::text[], $2::text[]) as given(asset, key)) as wanted
    where current.asset = wanted.asset and current.key = wanted.key and current.valid
    returning current.asset, current.key
), looked_at as (
    insert into flowstone.superseded as known (asset, key) select gone.asset, gone.key from gone
    on conflict (asset, key) do update set kept = null where known.kept is not null
)
select count(*) as count from gone
