-- Who did what. An entry is made by the statement that does it, or by a trigger on the row that says so, and is never changed.

create table flowstone.audit (
    number   bigint generated always as identity primary key,
    at       timestamptz not null default clock_timestamp(),
    action   text collate "C" not null,
    by       text,
    asset    text collate "C" not null default '',
    key      text collate "C" not null default '',
    run_id   text collate "C" not null default '',
    name     text not null default '',
    reason   text not null default '',
    beside   text[] collate "C",
    details  json
) with (autovacuum_vacuum_scale_factor = 0.0, autovacuum_vacuum_threshold = 10000);
comment on table flowstone.audit is 'Who did what, in the order of numbers; the oldest entries are forgotten.';
comment on column flowstone.audit.by is 'Null: nobody said, or it happened by itself.';
comment on column flowstone.audit.name is 'A wait, automation, pool, partition set or token; of a run the automation that asked for it.';
comment on column flowstone.audit.beside is 'The assets that a run was asked for besides the other one; null: none.';
comment on column flowstone.audit.details is 'What else there is to say, and null if that is nothing.';

create index audit_asset on flowstone.audit (asset, number) where asset <> '';
create index audit_beside on flowstone.audit using gin (beside) where beside is not null;
create index audit_run_id on flowstone.audit (run_id, number) where run_id <> '';

create function flowstone.refuse_change() returns trigger language plpgsql as $function$
begin
    raise exception 'entries of the audit log are not changed';
end
$function$;
create trigger audit_stays before update on flowstone.audit
for each statement execute function flowstone.refuse_change();

-- The text of a string of JSON, which may have the one character that a text of the database cannot have.
create function flowstone.plain(value json) returns text
language sql immutable parallel safe
as $$
    select case when strpos(value::text, '\u0000') = 0 then value
        else regexp_replace(value::text, '(?<!\\)((?:\\\\)*)\\u0000', '\1\\ufffd', 'g')::json end #>> '{}'
$$;

-- Who asks for a run makes no difference to what it does: otherwise as in 0029. No run that is under way says it yet, so the
-- index on this function stays as it is.

create or replace function flowstone.identity(pipeline text, request json) returns text
language sql immutable parallel safe
as $$ select (request::jsonb - '{max_parallel,timeout,tags,as_of,partitioned,by}'::text[])::text || pipeline $$;

-- Runs that are asked for, whichever statement writes them down. A request without keys has one, which is none.

create function flowstone.audit_runs() returns trigger language plpgsql as $function$
begin
    insert into flowstone.audit (action, by, asset, key, run_id, name, reason, beside, details)
    select 'run.queued', flowstone.plain(added.request -> 'by'), added.asset,
        case when asked.keys = 1 then coalesce(added.request -> 'keys' ->> 0, '') else '' end,
        added.id, coalesce(flowstone.plain(added.request -> 'tags' -> 'automation'), ''), 
        coalesce(flowstone.plain(added.request -> 'tags' -> 'reason'), ''),
        case when added.request -> 'beside' is not null then flowstone.beside(added.request) end,
        json_strip_nulls(json_build_object('kind', added.request -> 'kind',
            'partitions', case when asked.keys <> 1 and added.request -> 'span' is null then asked.keys end,
            'span', added.request -> 'span', 'retry_of', added.request -> 'retry_of'))
    from added
    cross join lateral (select coalesce(json_array_length(added.request -> 'keys'), 1) as keys) as asked
    order by added.arrival;
    return null;
end
$function$;
create trigger audit_runs after insert on flowstone.runs referencing new table as added
for each statement execute function flowstone.audit_runs();

-- That a run is asked to stop, the first time. Otherwise as in 0036.

create or replace function flowstone.about_waits() returns trigger language plpgsql as $function$
declare
    told flowstone.events%rowtype;
    until timestamptz;
begin
    for told in
        select added.* from added
        where added.kind in ('step.woken', 'step.token_issued', 'run.waiting', 'run.cancel_requested', 'run.finished')
        order by added.run_id, added.number
    loop
        until := null;
        case told.kind
        when 'step.woken' then
            update flowstone.waits set status = 'answered', answered_at = clock_timestamp()
            where waits.run_id = told.run_id and waits.asset = told.asset and waits.key = told.key
                and waits.name = told.details ->> 'name' and waits.status = 'open';
        when 'step.token_issued' then
            insert into flowstone.waits (run_id, asset, key, name, kind, attempt, status)
            select told.run_id, told.asset, told.key, told.details ->> 'name', 'signal', told.attempt,
                case when runs.cancelling then 'cancelled' else 'early' end
            from flowstone.runs where runs.id = told.run_id
            on conflict do nothing;
            insert into flowstone.tokens (hash, run_id, asset, key, name)
            values (told.details ->> 'hash', told.run_id, told.asset, told.key, told.details ->> 'name')
            on conflict do nothing;
        when 'run.waiting' then
            -- If a step was woken meanwhile, or the run is to be cancelled, it stays its owner's, who goes on. A timeout is no
            -- wait of a step.
            if told.details ->> 'steps' = (
                select runs.open_waits - (select count(*) from flowstone.waits
                    where waits.run_id = told.run_id and waits.kind = 'timeout' and waits.status = 'open')
                from flowstone.runs where runs.id = told.run_id
            )::text then
                -- Whoever waits for it may be anywhere, so its end is to be told to all nodes, as that of a submitted run.
                update flowstone.runs set owner = null, status = 'waiting', submitted = true, parked_at = clock_timestamp()
                where runs.id = told.run_id and runs.finish_order is null and not runs.cancelling;
                until := clock_timestamp() + make_interval(secs => (told.details ->> 'timeout')::double precision);
                if found and until is not null then
                    insert into flowstone.waits as known (run_id, asset, key, name, kind, attempt, deadline)
                    values (told.run_id, '', '', '', 'timeout', 0, until)
                    on conflict (run_id, asset, key, name) do update
                    set deadline = excluded.deadline, status = excluded.status, answered_at = null;
                end if;
            end if;
        else
            -- Most runs have no waits, and an update calls its triggers all the same.
            if exists (select from flowstone.waits where waits.run_id = told.run_id) then
                update flowstone.waits set status = 'cancelled', answered_at = clock_timestamp()
                where waits.run_id = told.run_id and waits.status in ('open', 'early');
            end if;
            if told.kind = 'run.cancel_requested' then
                insert into flowstone.audit (action, by, asset, run_id, reason)
                select told.kind, flowstone.plain(told.details -> 'by'), told.asset, told.run_id,
                    coalesce(flowstone.plain(told.details -> 'comment'),
                        nullif(flowstone.plain(told.details -> 'reason'), 'asked'), '')
                where not exists (
                    select from flowstone.audit where audit.run_id = told.run_id and audit.action = told.kind);
            end if;
        end case;
        perform flowstone.tell_deadline(until);
    end loop;
    return null;
end
$function$;

-- That automations are paused and resumed, whichever statement tells of it. Otherwise as in 0039.

create or replace function flowstone.tell_events(
    of_pipeline text, lanes text[], kinds text[], assets text[], events text[], but text
) returns void language plpgsql as $function$
declare
    told text[];
begin
    insert into flowstone.feed (event)
    select given.event::json from unnest(events) with ordinality as given(event, place) order by given.place;
    insert into flowstone.audit (action, by, name, reason, details)
    select given.kind, flowstone.plain(given.event::json -> 'by'), flowstone.plain(given.event::json -> 'name'),
        coalesce(flowstone.plain(given.event::json -> 'reason'), ''), json_build_object('pipeline', of_pipeline)
    from unnest(kinds, events) with ordinality as given(kind, event, place)
    where given.kind in ('automation.paused', 'automation.resumed')
    order by given.place;
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

-- Pools, as in 0020; whether that has changed anything is returned.

drop function flowstone.set_pool(text, integer, integer);
create function flowstone.set_pool(
    given_pool text,
    given_defined integer,
    given_slots integer
) returns boolean
language plpgsql
set enable_seqscan = off
set jit = off
as $function$
declare
    changed boolean;
begin
    insert into flowstone.pools (name, defined) values (given_pool, given_defined) on conflict do nothing;
    select pools.set_slots is distinct from given_slots into changed
    from flowstone.pools where pools.name = given_pool for no key update;
    update flowstone.pools set set_slots = given_slots where pools.name = given_pool;
    perform flowstone.grant_slots(array[given_pool], '');
    return changed;
end
$function$;
