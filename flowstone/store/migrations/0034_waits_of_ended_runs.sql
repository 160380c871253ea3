-- Waits end with their run, however that ends; and a run that has a timeout on record may be parked again. Otherwise as in
-- 0022 and 0024.

create or replace function flowstone.come_to_wait() returns trigger language plpgsql as $function$
declare
    answered record;
    place bigint;
begin
    if not exists (select from added where added.kind = 'step.waiting') then
        return null;
    end if;
    insert into flowstone.waits as known (run_id, asset, key, name, kind, attempt, deadline, status, id, about)
    select distinct on (asked.run_id, asked.asset, asked.key, asked.details ->> 'name')
        asked.run_id, asked.asset, asked.key, asked.details ->> 'name', asked.details ->> 'waits_for', asked.attempt,
        coalesce(clock_timestamp() + make_interval(secs => (asked.details ->> 'timeout')::double precision),
            (asked.details ->> 'deadline')::timestamptz),
        case when runs.cancelling then 'cancelled' else 'open' end, asked.details ->> 'id', asked.details -> 'about'
    from added as asked join flowstone.runs on runs.id = asked.run_id
    where asked.kind = 'step.waiting'
    order by asked.run_id, asked.asset, asked.key, asked.details ->> 'name', asked.number
    on conflict (run_id, asset, key, name) do update set kind = excluded.kind, attempt = excluded.attempt,
        asked_at = excluded.asked_at, deadline = excluded.deadline, status = excluded.status, id = excluded.id,
        about = excluded.about
        where known.status = 'early';

    -- A signal that was there before the step came to wait for it: it goes on at once, unless its run has ended with this.
    for answered in
        select asked.run_id, asked.asset, asked.key, asked.attempt, waits.name
        from added as asked join flowstone.waits on waits.run_id = asked.run_id and waits.asset = asked.asset
            and waits.key = asked.key and waits.name = asked.details ->> 'name'
        join flowstone.runs on runs.id = asked.run_id and runs.finish_order is null
        where asked.kind = 'step.waiting' and waits.status = 'answered'
        order by asked.run_id, asked.number
    loop
        update flowstone.runs set last_event = runs.last_event + 1 where runs.id = answered.run_id
        returning runs.last_event into place;
        insert into flowstone.events (run_id, number, kind, at, asset, key, attempt, details)
        values (answered.run_id, place, 'step.woken', clock_timestamp(), answered.asset, answered.key, answered.attempt,
            json_build_object('name', answered.name));
        perform pg_notify('flowstone', 'woken:' || answered.run_id);
    end loop;

    perform flowstone.tell_deadline(min(waits.deadline))
    from added as asked join flowstone.waits on waits.run_id = asked.run_id and waits.asset = asked.asset
        and waits.key = asked.key and waits.name = asked.details ->> 'name'
    where asked.kind = 'step.waiting' and waits.status = 'open';
    return null;
end
$function$;

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
            values (told.run_id, told.asset, told.key, told.details ->> 'name', 'signal', told.attempt, 'early')
            on conflict do nothing;
            insert into flowstone.tokens (hash, run_id, asset, key, name)
            values (told.details ->> 'hash', told.run_id, told.asset, told.key, told.details ->> 'name')
            on conflict do nothing;
        when 'run.waiting' then
            -- If a step was woken meanwhile, the run stays its owner's, who goes on. A timeout is no wait of a step.
            if told.details ->> 'steps' = (
                select runs.open_waits - (select count(*) from flowstone.waits
                    where waits.run_id = told.run_id and waits.kind = 'timeout' and waits.status = 'open')
                from flowstone.runs where runs.id = told.run_id
            )::text then
                -- Whoever waits for it may be anywhere, so its end is to be told to all nodes, as that of a submitted run.
                update flowstone.runs set owner = null, status = 'waiting', submitted = true, parked_at = clock_timestamp()
                where runs.id = told.run_id and runs.finish_order is null;
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
        end case;
        perform flowstone.tell_deadline(until);
    end loop;
    return null;
end
$function$;

-- Of runs that succeeded before this.

update flowstone.waits set status = 'cancelled', answered_at = clock_timestamp() from flowstone.runs
where runs.id = waits.run_id and runs.finish_order is not null and waits.status in ('open', 'early');
