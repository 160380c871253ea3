-- Steps that come to wait together are taken in together. Each was a statement of its own, which counted one wait in the row
-- of its run: so that row got as many versions in one transaction, and each went through those before it.

create function flowstone.tell_deadline(
    until timestamptz
) returns void
language plpgsql
as $function$
begin
    if until is not null and not exists (
        select from flowstone.waits where waits.status = 'open' and waits.deadline < until
    ) then
        perform pg_notify('flowstone', 'deadline:');
    end if;
end
$function$;

create function flowstone.come_to_wait() returns trigger language plpgsql as $function$
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
        asked_at = excluded.asked_at, deadline = excluded.deadline, status = excluded.status
        where known.status = 'early';

    -- A signal that was there before the step came to wait for it: it goes on at once.
    for answered in
        select asked.run_id, asked.asset, asked.key, asked.attempt, waits.name
        from added as asked join flowstone.waits on waits.run_id = asked.run_id and waits.asset = asked.asset
            and waits.key = asked.key and waits.name = asked.details ->> 'name'
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

create trigger come_to_wait after insert on flowstone.events referencing new table as added
for each statement execute function flowstone.come_to_wait();

-- The others come one at a time.

drop trigger about_waits on flowstone.events;
create trigger about_waits after insert on flowstone.events for each row
when (new.kind in ('step.woken', 'step.token_issued', 'run.waiting', 'run.cancel_requested')
    or (new.kind = 'run.finished' and new.details ->> 'status' <> 'succeeded'))
execute function flowstone.about_waits();

create or replace function flowstone.about_waits() returns trigger language plpgsql as $function$
declare
    until timestamptz;
begin
    case new.kind
    when 'step.woken' then
        update flowstone.waits set status = 'answered', answered_at = clock_timestamp()
        where waits.run_id = new.run_id and waits.asset = new.asset and waits.key = new.key
            and waits.name = new.details ->> 'name' and waits.status = 'open';
    when 'step.token_issued' then
        insert into flowstone.waits (run_id, asset, key, name, kind, attempt, status)
        values (new.run_id, new.asset, new.key, new.details ->> 'name', 'signal', new.attempt, 'early')
        on conflict do nothing;
        insert into flowstone.tokens (hash, run_id, asset, key, name)
        values (new.details ->> 'hash', new.run_id, new.asset, new.key, new.details ->> 'name')
        on conflict do nothing;
    when 'run.waiting' then
        -- If a step was woken meanwhile, the run stays its owner's, who goes on.
        if (select runs.open_waits from flowstone.runs where runs.id = new.run_id) = (new.details ->> 'steps')::bigint then
            -- Whoever waits for it may be anywhere, so its end is to be told to all nodes, as that of a submitted run.
            update flowstone.runs set owner = null, status = 'waiting', submitted = true, parked_at = clock_timestamp()
            where runs.id = new.run_id and runs.finish_order is null;
            until := clock_timestamp() + make_interval(secs => (new.details ->> 'timeout')::double precision);
            if found and until is not null then
                insert into flowstone.waits (run_id, asset, key, name, kind, attempt, deadline)
                values (new.run_id, '', '', '', 'timeout', 0, until);
            end if;
        end if;
    else
        update flowstone.waits set status = 'cancelled', answered_at = clock_timestamp()
        where waits.run_id = new.run_id and waits.status in ('open', 'early');
    end case;
    perform flowstone.tell_deadline(until);
    return null;
end
$function$;
