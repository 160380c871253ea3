-- Events that are recorded and not yet delivered to who follows them. A row refers to an event by its run and its number there;
-- it enters with the event, by triggers, whichever statement records that. An event of no run is in the row itself.

create table flowstone.followers (
    id         integer generated always as identity primary key,
    pipeline   text collate "C" not null,
    name       text collate "C" not null,
    kinds      text[] collate "C" not null,
    assets     text[] collate "C",
    anywhere   boolean not null default false,
    given_up   bigint not null default 0,
    failed_at  timestamptz,
    failure    json,
    unique (pipeline, name)
);
comment on table flowstone.followers is 'Who is told of events, from when it was defined.';
comment on column flowstone.followers.kinds is 'Exact kinds: of the end of a run its outcome, such as run.failed.';
comment on column flowstone.followers.assets is 'Only events of these; null: of all.';
comment on column flowstone.followers.anywhere is 'Whether it is told of the runs of all pipelines, and not only of its own.';

create table flowstone.outbox (
    follower  integer not null,
    lane      text collate "C" not null,
    number    bigint not null,
    attempts  integer not null default 0,
    event     json,
    primary key (follower, lane, number)
) with (autovacuum_vacuum_scale_factor = 0.0, autovacuum_vacuum_threshold = 10000);
comment on table flowstone.outbox is
    'What is not delivered yet. Without reference to the follower, whose rows go when somebody else is defined.';
comment on column flowstone.outbox.lane is 'The run; or, where there is an event, what it is in order with.';
comment on column flowstone.outbox.number is 'The place of the event in its run.';

create sequence flowstone.told;
comment on sequence flowstone.told is 'Numbers of events that belong to no run.';

create function flowstone.tell_followers(pipelines text[]) returns void language plpgsql as $function$
declare
    told text;
begin
    foreach told in array coalesce(pipelines, '{}') loop
        perform pg_notify('flowstone', 'deliveries:' || told);
    end loop;
end
$function$;

create function flowstone.deliver_runs() returns trigger language plpgsql as $function$
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
        insert into flowstone.outbox (follower, lane, number)
        select fitting.id, fitting.lane, fitting.number from fitting on conflict do nothing
    )
    select array_agg(distinct fitting.pipeline) into told from fitting;
    perform flowstone.tell_followers(told);
    return null;
end
$function$;
create trigger deliver_runs after insert on flowstone.runs referencing new table as added
for each statement execute function flowstone.deliver_runs();

create function flowstone.deliver_events() returns trigger language plpgsql as $function$
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
    ), entered as (
        insert into flowstone.outbox (follower, lane, number)
        select fitting.id, fitting.lane, fitting.number from fitting on conflict do nothing
    )
    select array_agg(distinct fitting.pipeline) into told from fitting;
    perform flowstone.tell_followers(told);
    return null;
end
$function$;
create trigger deliver_events after insert on flowstone.events referencing new table as added
for each statement execute function flowstone.deliver_events();

create function flowstone.deliver_ends() returns trigger language plpgsql as $function$
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
    ), entered as (
        insert into flowstone.outbox (follower, lane, number)
        select fitting.id, fitting.lane, fitting.number from fitting on conflict do nothing
    )
    select array_agg(distinct fitting.pipeline) into told from fitting;
    perform flowstone.tell_followers(told);
    return null;
end
$function$;
create trigger deliver_ends after insert on flowstone.materializations referencing new table as added
for each statement execute function flowstone.deliver_ends();

-- Starts share a row, whose number is that of the last of them.

create function flowstone.deliver_starts() returns trigger language plpgsql as $function$
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
    ), entered as (
        insert into flowstone.outbox (follower, lane, number)
        select fitting.id, fitting.lane, fitting.number from fitting on conflict do nothing
    )
    select array_agg(distinct fitting.pipeline) into told from fitting;
    perform flowstone.tell_followers(told);
    return null;
end
$function$;
create trigger deliver_starts after insert on flowstone.starts referencing new table as added
for each statement execute function flowstone.deliver_starts();

-- Events of no run, told by whoever calls this in his transaction; nobody hears of himself.

create function flowstone.tell_events(
    of_pipeline text, lanes text[], kinds text[], assets text[], events text[], but text
) returns void language plpgsql as $function$
declare
    told text[];
begin
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
    ), entered as (
        insert into flowstone.outbox (follower, lane, number, event)
        select fitting.id, fitting.lane, fitting.number, fitting.event::json from fitting
    )
    select array_agg(distinct fitting.pipeline) into told from fitting;
    perform flowstone.tell_followers(told);
end
$function$;
