-- Deliveries are read lane by lane, in the order in which the lanes came to have something pending: a number that a lane gets with
-- its first row, and that all rows share until none is left. Otherwise the functions are as in 0028 and 0032.

create sequence flowstone.lanes;
comment on sequence flowstone.lanes is 'Numbers of lanes of the outbox, in the order in which they came to have something pending.';

alter table flowstone.outbox add column lane_number bigint;
comment on column flowstone.outbox.lane_number is
    'The place of its lane: given when nothing of that was pending. Where writers met it may have two: that of its first row holds.';

-- Of what is pending now nobody knows any more what came first.
update flowstone.outbox set lane_number = numbered.lane_number
from (
    select known.follower, known.lane, nextval('flowstone.lanes') as lane_number
    from (
        select distinct outbox.follower, outbox.lane from flowstone.outbox order by outbox.follower, outbox.lane
    ) as known
) as numbered
where outbox.follower = numbered.follower and outbox.lane = numbered.lane;

alter table flowstone.outbox alter column lane_number set not null;
create index outbox_lane_number on flowstone.outbox (follower, lane_number);

-- Its plan is made once in a session, maybe while there is next to nothing: it is to be the one for much.

create function flowstone.lane_number(of_follower integer, of_lane text) returns bigint language plpgsql
set enable_seqscan = off
set enable_bitmapscan = off
set plan_cache_mode = force_generic_plan
as $function$
begin
    return coalesce((
        select outbox.lane_number from flowstone.outbox
        where outbox.follower = of_follower and outbox.lane = of_lane order by outbox.number limit 1
    ), nextval('flowstone.lanes'));
end
$function$;

create or replace function flowstone.deliver_runs() returns trigger language plpgsql as $function$
declare
    told text[];
begin
    if not exists (select from flowstone.followers) then
        return null;
    end if;
    with fitting as (
        select followers.id, followers.pipeline, added.id as lane, 1 as number
        from added join flowstone.followers on 'run.queued' = any (followers.kinds)
            and (followers.anywhere or followers.pipeline = added.pipeline)
            and (followers.assets is null or added.asset = any (followers.assets))
    ), entered as (
        insert into flowstone.outbox (follower, lane, number, lane_number)
        select fitting.id, fitting.lane, fitting.number, flowstone.lane_number(fitting.id, fitting.lane) from fitting
        on conflict do nothing
    )
    select array_agg(distinct fitting.pipeline) into told from fitting;
    perform flowstone.tell_followers(told);
    return null;
end
$function$;

create or replace function flowstone.deliver_events() returns trigger language plpgsql as $function$
declare
    told text[];
begin
    if not exists (select from flowstone.followers) then
        return null;
    end if;
    with fitting as (
        select followers.id, followers.pipeline, added.run_id as lane, added.number
        from added join flowstone.runs on runs.id = added.run_id
        join flowstone.followers
            on case when added.kind = 'run.finished' then 'run.' || (added.details ->> 'status') else added.kind end
                = any (followers.kinds)
            and (followers.anywhere or followers.pipeline = runs.pipeline)
            and (followers.assets is null or added.asset = any (followers.assets))
    ), numbered as materialized (
        select lanes.id, lanes.lane, flowstone.lane_number(lanes.id, lanes.lane) as lane_number
        from (select distinct fitting.id, fitting.lane from fitting) as lanes
    ), entered as (
        insert into flowstone.outbox (follower, lane, number, lane_number)
        select fitting.id, fitting.lane, fitting.number, numbered.lane_number
        from fitting join numbered on numbered.id = fitting.id and numbered.lane = fitting.lane
        on conflict do nothing
    )
    select array_agg(distinct fitting.pipeline) into told from fitting;
    perform flowstone.tell_followers(told);
    return null;
end
$function$;

create or replace function flowstone.deliver_ends() returns trigger language plpgsql as $function$
declare
    told text[];
begin
    if not exists (select from flowstone.followers) then
        return null;
    end if;
    with fitting as (
        select followers.id, followers.pipeline, added.run_id as lane, added.number
        from added join flowstone.runs on runs.id = added.run_id
        join flowstone.followers on coalesce(added.event ->> 'kind', 'step.' || added.status) = any (followers.kinds)
            and (followers.anywhere or followers.pipeline = runs.pipeline)
            and (followers.assets is null or added.asset = any (followers.assets))
    ), numbered as materialized (
        select lanes.id, lanes.lane, flowstone.lane_number(lanes.id, lanes.lane) as lane_number
        from (select distinct fitting.id, fitting.lane from fitting) as lanes
    ), entered as (
        insert into flowstone.outbox (follower, lane, number, lane_number)
        select fitting.id, fitting.lane, fitting.number, numbered.lane_number
        from fitting join numbered on numbered.id = fitting.id and numbered.lane = fitting.lane
        on conflict do nothing
    )
    select array_agg(distinct fitting.pipeline) into told from fitting;
    perform flowstone.tell_followers(told);
    return null;
end
$function$;

create or replace function flowstone.deliver_starts() returns trigger language plpgsql as $function$
declare
    told text[];
begin
    if not exists (select from flowstone.followers) then
        return null;
    end if;
    with fitting as (
        select followers.id, followers.pipeline, added.run_id as lane,
            added.number - cardinality(added.asset) + started.place as number
        from added join flowstone.runs on runs.id = added.run_id
        join flowstone.followers on 'step.started' = any (followers.kinds)
            and (followers.anywhere or followers.pipeline = runs.pipeline)
        cross join lateral unnest(added.asset) with ordinality as started(asset, place)
        where followers.assets is null or started.asset = any (followers.assets)
    ), numbered as materialized (
        select lanes.id, lanes.lane, flowstone.lane_number(lanes.id, lanes.lane) as lane_number
        from (select distinct fitting.id, fitting.lane from fitting) as lanes
    ), entered as (
        insert into flowstone.outbox (follower, lane, number, lane_number)
        select fitting.id, fitting.lane, fitting.number, numbered.lane_number
        from fitting join numbered on numbered.id = fitting.id and numbered.lane = fitting.lane
        on conflict do nothing
    )
    select array_agg(distinct fitting.pipeline) into told from fitting;
    perform flowstone.tell_followers(told);
    return null;
end
$function$;

create or replace function flowstone.tell_events(
    of_pipeline text, lanes text[], kinds text[], assets text[], events text[], but text
) returns void language plpgsql as $function$
declare
    told text[];
begin
    insert into flowstone.feed (event)
    select given.event::json from unnest(events) with ordinality as given(event, place) order by given.place;
    if not exists (select from flowstone.followers) then
        return;
    end if;
    with numbered as materialized (
        select given.*, nextval('flowstone.told') as number
        from unnest(lanes, kinds, assets, events) with ordinality as given(lane, kind, asset, event, place)
        order by given.place
    ), fitting as materialized (
        select followers.id, followers.pipeline, numbered.lane, numbered.number, numbered.event
        from numbered join flowstone.followers on numbered.kind = any (followers.kinds)
            and (followers.anywhere or followers.pipeline = of_pipeline)
            and (followers.assets is null or numbered.asset = any (followers.assets))
            and not (followers.pipeline = of_pipeline and followers.name is not distinct from but)
    ), places as materialized (
        select first.id, first.lane, flowstone.lane_number(first.id, first.lane) as lane_number
        from (
            select fitting.id, fitting.lane from fitting group by fitting.id, fitting.lane order by min(fitting.number)
        ) as first
    ), entered as (
        insert into flowstone.outbox (follower, lane, number, event, lane_number)
        select fitting.id, fitting.lane, fitting.number, fitting.event::json, places.lane_number
        from fitting join places on places.id = fitting.id and places.lane = fitting.lane
    )
    select array_agg(distinct fitting.pipeline) into told from fitting;
    perform flowstone.tell_followers(told);
end
$function$;

-- What is to be delivered to a follower. Goes from lane to lane by one step of the index each, in the order of their numbers. Where
-- an event was forgotten after all, nothing is said of it. A function, for the sake of its plan, see above.

create function flowstone.pending_deliveries(
    of_pipeline text, of_name text, how_many bigint, of_one_lane bigint, but text[]
) returns table (
    lane text, number bigint, attempts integer, told text, kind text, at timestamptz, run_id text, asset text, key text,
    attempt integer, details text, event text, status text, started_at timestamptz, finished_at timestamptz,
    code_version text, data_version text, location text, io text, size bigint
) language plpgsql
set enable_seqscan = off
set enable_bitmapscan = off
set enable_hashjoin = off
set enable_mergejoin = off
set jit = off
set plan_cache_mode = force_generic_plan
as $function$
#variable_conflict use_column
begin
    return query
    with recursive followed as materialized (
        select followers.id from flowstone.followers where followers.pipeline = of_pipeline and followers.name = of_name
    ), lanes(number, lane) as (
        (select outbox.lane_number, outbox.lane from flowstone.outbox
        where outbox.follower = (select followed.id from followed)
        order by outbox.lane_number limit 1)
        union all
        select next.lane_number, next.lane
        from lanes cross join lateral (
            select outbox.lane_number, outbox.lane from flowstone.outbox
            where outbox.follower = (select followed.id from followed) and outbox.lane_number > lanes.number
            order by outbox.lane_number limit 1
        ) as next
    ), chosen as materialized (
        select open_lanes.number as lane_number, first.lane, first.number, first.attempts, first.event::text as told
        from (
            select lanes.number, lanes.lane from lanes
            where lanes.lane <> all (but) and lanes.number = (
                select first.lane_number from flowstone.outbox as first
                where first.follower = (select followed.id from followed) and first.lane = lanes.lane
                order by first.number limit 1)
            limit how_many
        ) as open_lanes cross join lateral (
            select outbox.lane, outbox.number, outbox.attempts, outbox.event
            from flowstone.outbox
            where outbox.follower = (select followed.id from followed) and outbox.lane = open_lanes.lane
            order by outbox.number limit of_one_lane
        ) as first
        limit how_many
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
    order by chosen.lane_number, chosen.number;
end
$function$;
