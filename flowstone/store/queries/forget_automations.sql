-- $1: seconds after which one that is gone is forgotten, with who follows for it and for no other one. Those that were.
with forgotten as (
    delete from flowstone.automations where gone_at < clock_timestamp() - make_interval(secs => $1)
    returning pipeline, name, kind
), gone as materialized (
    select followers.id from flowstone.followers
    where exists (
        select from forgotten
        where forgotten.pipeline = followers.pipeline and followers.name = case forgotten.kind
            when 'condition' then '' when 'freshness' then 'freshness:' else forgotten.name end
    ) and not exists (
        select from flowstone.automations as known
        where known.pipeline = followers.pipeline and followers.name = case known.kind
            when 'condition' then '' when 'freshness' then 'freshness:' else known.name end
        and not exists (
            select from forgotten where forgotten.pipeline = known.pipeline and forgotten.name = known.name
        )
    )
    order by followers.pipeline, followers.name collate "C" for update
), unfollowed as (
    delete from flowstone.followers using gone where followers.id = gone.id
)
select forgotten.pipeline, forgotten.name from forgotten
