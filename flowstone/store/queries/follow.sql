-- $1: a pipeline, and of each of its followers $2: the name, $3: exact kinds, joined by blanks, $4: assets as a JSON list, or
-- null, $5: whether it is told of all pipelines. Those that are not named are gone, unless automations
-- are remembered for which they follow: one of that name, any condition, or any freshness of an asset.
with named as materialized (
    select given.name, string_to_array(given.kinds, ' ') as kinds,
        case when given.assets is not null then array(select json_array_elements_text(given.assets::json)) end as assets,
        given.anywhere
    from unnest($2::text[], $3::text[], $4::text[], $5::boolean[]) as given(name, kinds, assets, anywhere)
), gone as materialized (
    select followers.id from flowstone.followers
    where followers.pipeline = $1 and followers.name <> all ($2::text[]) and not exists (
        select from flowstone.automations as known
        where known.pipeline = followers.pipeline and followers.name = case known.kind
            when 'condition' then '' when 'freshness' then 'freshness:' else known.name end
    )
    order by followers.name for update
), deleted as (
    delete from flowstone.followers using gone where followers.id = gone.id
)
insert into flowstone.followers as known (pipeline, name, kinds, assets, anywhere)
select $1, named.name, named.kinds, named.assets, named.anywhere from named order by named.name collate "C"
on conflict (pipeline, name) do update
set kinds = excluded.kinds, assets = excluded.assets, anywhere = excluded.anywhere
where (known.kinds, known.assets, known.anywhere) is distinct from (excluded.kinds, excluded.assets, excluded.anywhere)
