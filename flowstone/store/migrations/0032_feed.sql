-- The feed: every event that is recorded, of whatever run or automation, in one order.
--
-- A row stands for the events that one statement recorded of one run; what happened is read from where it is kept. It is
-- written by triggers on the row of the run, which every statement that records an event changes, so whichever does it is
-- in the feed. Numbers are given while the row of the run is locked: those of a run are in the order of its events.

create table flowstone.feed (
    id      bigint generated always as identity (start with 0 minvalue 0) primary key,
    run_id  text collate "C" not null default '',
    first   bigint not null default 1,
    last    bigint not null default 0,
    event   json,
    at      timestamptz not null default now()
) with (autovacuum_vacuum_scale_factor = 0.0, autovacuum_vacuum_threshold = 10000);
comment on table flowstone.feed is 'Which events were recorded, in the order of ids; those of a transaction come when it is committed.';
comment on column flowstone.feed.last is 'The events from first to last of the run, at most 1,024.';
comment on column flowstone.feed.event is 'An event that belongs to no run.';

-- Where the feed begins: nobody has missed anything before it.
insert into flowstone.feed default values;

create function flowstone.feed_run() returns trigger language plpgsql as $function$
begin
    insert into flowstone.feed (run_id, first, last) values (new.id, 1, 1);
    return null;
end
$function$;
create trigger feed_run after insert on flowstone.runs
for each row execute function flowstone.feed_run();

-- For each row: a batch is mostly of one run or of few, and tables of what was and is cost more than ten rows do.
create function flowstone.feed_events() returns trigger language plpgsql as $function$
begin
    if new.last_event - old.last_event <= 1024 then
        insert into flowstone.feed (run_id, first, last) values (new.id, old.last_event + 1, new.last_event);
    else
        insert into flowstone.feed (run_id, first, last)
        select new.id, part.first, least(part.first + 1023, new.last_event)
        from generate_series(old.last_event + 1, new.last_event, 1024) as part(first) order by part.first;
    end if;
    return null;
end
$function$;
create trigger feed_events after update on flowstone.runs
for each row when (new.last_event > old.last_event) execute function flowstone.feed_events();

-- As it was made in 0028; what is told is in the feed, whether anybody follows or not.

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
    ), entered as (
        insert into flowstone.outbox (follower, lane, number, event)
        select fitting.id, fitting.lane, fitting.number, fitting.event::json from fitting
    )
    select array_agg(distinct fitting.pipeline) into told from fitting;
    perform flowstone.tell_followers(told);
end
$function$;
