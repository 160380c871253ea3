-- A run may be asked for several assets: it is found, and its events are heard of, by each of them.

create function flowstone.beside(request json) returns text[]
language sql immutable parallel safe
as $$ select array(select json_object_keys(request -> 'beside')) $$;
comment on function flowstone.beside is 'The assets that a run was asked for besides the one in its column.';

-- Most runs are asked for one asset, and cost this index nothing.
create index runs_beside on flowstone.runs using gin (flowstone.beside(request)) where request -> 'beside' is not null;

-- As 0039 has them, but for the events of runs of several assets.

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
            and (followers.assets is null or added.asset = any (followers.assets)
                or flowstone.beside(added.request) && followers.assets)
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
            and (followers.assets is null or added.asset = any (followers.assets)
                or (added.kind like 'run.%' and flowstone.beside(runs.request) && followers.assets))
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
