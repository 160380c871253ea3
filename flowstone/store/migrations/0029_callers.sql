-- Several callers share a run: who wants what it computes, and which run is under way for the same request.

-- Two runs with the same text do the same. What is left out says how a run goes and what it is called, not what it does.
create function flowstone.identity(pipeline text, request json) returns text
language sql immutable parallel safe
as $$ select (request::jsonb - '{max_parallel,timeout,tags,as_of,partitioned}'::text[])::text || pipeline $$;

create index runs_under_way on flowstone.runs (hashtextextended(flowstone.identity(pipeline, request), 0))
    where finish_order is null;

create table flowstone.callers (
    run_id   text collate "C" not null,
    id       text collate "C" not null,
    node     text collate "C" not null,
    cancels  boolean not null,
    gone     boolean not null default false,
    waiting  text[],
    primary key (run_id, id)
);
comment on table flowstone.callers is 'Who wants what a run computes. A run that nobody joined has no rows here.';
comment on column flowstone.callers.id is 'That of the run for the call that started it; empty: it is wanted whoever leaves.';
comment on column flowstone.callers.node is 'Where the caller is; empty: nowhere that could end.';
comment on column flowstone.callers.cancels is 'Whether the run is cancelled with this caller, if nobody else is left.';
comment on column flowstone.callers.waiting is 'The runs that cannot end before this one does.';

create index callers_node on flowstone.callers (node) where not gone;
create index callers_waiting on flowstone.callers using gin (waiting) where waiting is not null;

-- Who creates a run, joins it or leaves it holds this lock; it is taken before any lock on a row of a run.
create function flowstone.lock_identity(identity text) returns void
language sql volatile
as $$ select pg_advisory_xact_lock(hashtextextended(identity, 0)) $$;

-- The run that is under way for a request, the oldest if there are several; null if there is none. One that is to
-- be cancelled is not under way any more.
create function flowstone.run_under_way(wanted text, but text[]) returns text
language sql stable
set enable_seqscan = off
as $$
    with found as materialized (
        select runs.id, runs.arrival from flowstone.runs
        where hashtextextended(flowstone.identity(runs.pipeline, runs.request), 0) = hashtextextended(wanted, 0)
            and runs.finish_order is null and not runs.cancelling and runs.id <> all (but)
            and flowstone.identity(runs.pipeline, runs.request) = wanted
    )
    select found.id from found order by found.arrival limit 1
$$;

-- Create a run unless one is under way for the same request; which run there is then, and whether it is this one. No
-- row: an unfinished run took the key meanwhile. With an owner the run is that node's, without one nobody's.
create function flowstone.create_unless_under_way(
    new_id          text,
    new_pipeline    text,
    new_asset       text,
    new_request     text,
    new_created_at  timestamptz,
    new_started_at  timestamptz,
    new_owner       text,
    new_total       bigint,
    new_key         text,
    new_priority    integer,
    but             text[]       -- runs that are not joined; null: none is
) returns table (id text, is_new boolean)
language plpgsql
as $function$
declare
    wanted text := flowstone.identity(new_pipeline, new_request::json);
    known text;
begin
    perform flowstone.lock_identity(wanted);
    select runs.id into known from flowstone.runs where runs.id = new_id;
    if known is not null then
        return query select known, true;  -- Done before; only the answer was lost.
        return;
    end if;
    if new_key is not null then
        select runs.id into known from flowstone.runs where runs.key = new_key and runs.finish_order is null;
    end if;
    if known is null and but is not null then
        known := flowstone.run_under_way(wanted, but);
    end if;
    if known is not null then
        return query select known, false;
        return;
    end if;
    return query
        insert into flowstone.runs as made (id, pipeline, asset, request, status, created_at, started_at, owner, total,
            key, priority, submitted)
        values (new_id, new_pipeline, new_asset, new_request::json, 'queued', new_created_at, new_started_at, new_owner,
            new_total, new_key, new_priority, new_owner is null)
        on conflict do nothing
        returning made.id, true;
end
$function$;

-- Somebody wants what a run computes. The first one says as well who else does: whoever started it, if that call is on
-- the node that drives it still; otherwise somebody who cannot leave, since it is not known that nobody else wants it.
create function flowstone.want(of_run text, who text, at_node text, and_cancels boolean, and_waiting text[]) returns void
language plpgsql
as $function$
begin
    if who is distinct from of_run
        and not exists (select from flowstone.callers where callers.run_id = of_run)
    then
        insert into flowstone.callers (run_id, id, node, cancels)
        select runs.id, case when by_call then runs.id else '' end, case when by_call then runs.owner else '' end, false
        from flowstone.runs cross join lateral (select runs.owner is not null and runs.epoch = 0 as by_call) as started
        where runs.id = of_run
        on conflict do nothing;
    end if;
    insert into flowstone.callers (run_id, id, node, cancels, waiting)
    values (of_run, who, at_node, and_cancels, nullif(and_waiting, '{}'))
    on conflict do nothing;
end
$function$;

-- Whether one of these runs would have to end before `of_run` can: then no step of them may wait for it. Who asks
-- holds a lock that all of them hold, so that of two who would close a circle together one sees the other.
create function flowstone.closes_circle(of_run text, and_waiting text[]) returns boolean
language plpgsql
set enable_seqscan = off
as $function$
declare
    seen text[] := array[of_run];
    ahead text[] := seen;
begin
    perform pg_advisory_xact_lock(hashtextextended('flowstone.callers', 0));
    while ahead is not null loop
        if ahead && and_waiting then
            return true;
        end if;
        select array_agg(distinct callers.run_id) into ahead
        from flowstone.callers join flowstone.runs on runs.id = callers.run_id
        where callers.waiting && ahead and not callers.gone and runs.finish_order is null
            and callers.run_id <> all (seen);
        seen := seen || ahead;
    end loop;
    return false;
end
$function$;

-- A caller leaves, or if `who` is null all those of a node. Null if the run goes on; or why it does not, because nobody
-- wants it any more: `unwanted` where one of them said so, `caller` where that is the call that started it.
create function flowstone.leave_run(of_run text, who text, at_node text, and_cancels boolean) returns text
language plpgsql
as $function$
declare
    unwanted boolean := and_cancels;
    asked boolean;
begin
    perform flowstone.lock_identity(flowstone.identity(runs.pipeline, runs.request))
    from flowstone.runs where runs.id = of_run;
    with leaving as (
        update flowstone.callers set gone = true
        where callers.run_id = of_run and case when who is null then callers.node = at_node and not callers.gone
            else callers.id = who end
        returning callers.cancels
    )
    select bool_or(leaving.cancels) into asked from leaving;
    if asked is null and who = of_run then
        insert into flowstone.callers (run_id, id, node, cancels, gone) values (of_run, who, at_node, and_cancels, true);
    end if;
    if exists (select from flowstone.callers where callers.run_id = of_run and not callers.gone) then
        return null;
    end if;
    return case when unwanted or coalesce(asked, false) then 'unwanted' when who = of_run then 'caller' end;
end
$function$;
