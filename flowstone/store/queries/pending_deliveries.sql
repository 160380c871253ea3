-- $1: pipeline and $2: name of a follower; $3: how many, $4: of one lane; $5: lanes that are left alone. Goes from lane to lane
-- by one step of the index each. Where an event was forgotten after all, nothing is said of it.
with recursive followed as materialized (
    select followers.id from flowstone.followers where followers.pipeline = $1 and followers.name = $2
), lanes(lane) as (
    (select outbox.lane from flowstone.outbox where outbox.follower = (select followed.id from followed)
    order by outbox.lane limit 1)
    union all
    select (
        select outbox.lane from flowstone.outbox
        where outbox.follower = (select followed.id from followed) and outbox.lane > lanes.lane
        order by outbox.lane limit 1)
    from lanes where lanes.lane is not null
), chosen as materialized (
    select first.lane, first.number, first.attempts, first.event::text as told
    from (
        select lanes.lane from lanes where lanes.lane is not null and lanes.lane <> all ($5::text[]) limit $3
    ) as open_lanes cross join lateral (
        select outbox.lane, outbox.number, outbox.attempts, outbox.event
        from flowstone.outbox
        where outbox.follower = (select followed.id from followed) and outbox.lane = open_lanes.lane
        order by outbox.number limit $4
    ) as first
    limit $3
)
select chosen.lane, chosen.number, chosen.attempts, chosen.told, event.kind, event.at, chosen.lane as run_id, event.asset,
    event.key, event.attempt, event.details, event.event, event.status, event.started_at, event.finished_at,
    event.code_version, event.data_version, event.location, event.io, event.size
from chosen left join lateral (
    select events.kind, events.at, events.asset, events.key, events.attempt, events.details::text, null::text as event,
        null::text as status, null::timestamptz as started_at, null::timestamptz as finished_at,
        null::text as code_version, null::text as data_version, null::text as location, null::text as io,
        null::bigint as size
    from flowstone.events where events.run_id = chosen.lane and events.number = chosen.number
    union all
    select null, null, made.asset, made.key, made.attempt, made.details::text, made.event::text, made.status,
        made.started_at, made.finished_at, made.code_version, made.data_version, made.location, made.io, made.size
    from flowstone.materializations as made
    where made.run_id = chosen.lane and made.number = chosen.number and made.listed
    union all
    select 'step.started', begun.at[begun.place], begun.asset[begun.place], begun.key[begun.place], 1, null, null, null,
        null, null, null, null, null, null, null
    from (
        select starts.at, starts.asset, starts.key,
            (chosen.number - starts.number + cardinality(starts.asset))::integer as place
        from flowstone.starts where starts.run_id = chosen.lane and starts.number >= chosen.number
        order by starts.number limit 1
    ) as begun where begun.place > 0
    union all
    select 'run.queued', runs.created_at, runs.asset, '', null, runs.request::text, null, null, null, null, null, null,
        null, null, null
    from flowstone.runs where runs.id = chosen.lane and chosen.number = 1
) as event on chosen.told is null
order by chosen.lane, chosen.number
