-- $1: pipelines; $2 to $7: pipeline, name, kind, definition, paused and cursor of each automation that they define.
with given as (
    select * from unnest($2::text[], $3::text[], $4::text[], $5::text[], $6::boolean[], $7::text[])
        as given(pipeline, name, kind, definition, paused, cursor)
),
gone as (
    update flowstone.automations as known set gone_at = clock_timestamp(), version = version + 1
    where known.pipeline = any($1) and known.gone_at is null and not exists (
        select from given where given.pipeline = known.pipeline and given.name = known.name
    )
    returning known.pipeline, known.name
),
-- A listener that is gone is told of nothing new; `follow` says again what it wants.
silent as materialized (
    select followers.id from flowstone.followers
    join gone on gone.pipeline = followers.pipeline and gone.name = followers.name
    order by followers.pipeline, followers.name collate "C" for update of followers
),
silenced as (
    update flowstone.followers set kinds = '{}' from silent where followers.id = silent.id
)
insert into flowstone.automations as known (pipeline, name, kind, definition, paused, cursor)
select given.pipeline, given.name, given.kind, given.definition, given.paused, given.cursor::json from given
order by given.pipeline, given.name
on conflict (pipeline, name) do update set
    kind = excluded.kind,
    definition = excluded.definition,
    version = known.version + 1,
    -- What a sensor has seen does not depend on how often it looks.
    cursor = case when known.kind = excluded.kind and (known.definition = excluded.definition or known.kind = 'sensor')
        then known.cursor else excluded.cursor end,
    pending = case when known.kind = excluded.kind and (known.definition = excluded.definition or known.kind = 'sensor')
        then known.pending else '[]' end,
    gone_at = null
where (known.kind, known.definition) <> (excluded.kind, excluded.definition) or known.gone_at is not null
