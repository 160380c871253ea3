-- What was counted or looked through at each change is kept where it is asked for.

-- How many waits of a run are open decides whether it is parked. They were counted each time, and may be a hundred
-- thousand. A wait's row is changed only by whoever holds the lock on the row of its run, so nobody waits for this.

alter table flowstone.runs add column open_waits bigint not null default 0;
comment on column flowstone.runs.open_waits is 'How many of its waits are open.';
update flowstone.runs set open_waits = known.waits
from (select waits.run_id, count(*) as waits from flowstone.waits where waits.status = 'open' group by waits.run_id) as known
where runs.id = known.run_id;

create function flowstone.count_waits() returns trigger language plpgsql as $function$
begin
    if tg_op = 'INSERT' then
        update flowstone.runs set open_waits = runs.open_waits + counted.waits
        from (select added.run_id, count(*) as waits from added where added.status = 'open' group by added.run_id) as counted
        where runs.id = counted.run_id;
    elsif tg_op = 'DELETE' then
        update flowstone.runs set open_waits = runs.open_waits - counted.waits
        from (select gone.run_id, count(*) as waits from gone where gone.status = 'open' group by gone.run_id) as counted
        where runs.id = counted.run_id;
    else
        update flowstone.runs set open_waits = runs.open_waits + counted.waits
        from (
            select changed.run_id, sum(changed.waits) as waits from (
                select gone.run_id, -1 as waits from gone where gone.status = 'open'
                union all
                select added.run_id, 1 from added where added.status = 'open'
            ) as changed
            group by changed.run_id having sum(changed.waits) <> 0
        ) as counted
        where runs.id = counted.run_id;
    end if;
    return null;
end
$function$;

create trigger count_added after insert on flowstone.waits referencing new table as added
for each statement execute function flowstone.count_waits();
create trigger count_gone after delete on flowstone.waits referencing old table as gone
for each statement execute function flowstone.count_waits();
create trigger count_changed after update on flowstone.waits referencing old table as gone new table as added
for each statement execute function flowstone.count_waits();

-- The start of an attempt that another node executes is on record behind the last event that there was when the lease
-- was given: so whether it was begun is looked for in what came after.

alter table flowstone.step_leases add column since bigint not null default 0;
comment on column flowstone.step_leases.since is 'The number of the last event of the run when this attempt was leased.';

-- As in 0017, but for the run that waits.

create or replace function flowstone.about_waits() returns trigger language plpgsql as $function$
declare
    until timestamptz;
    state text;
    place bigint;
begin
    case new.kind
    when 'step.waiting' then
        until := coalesce(clock_timestamp() + make_interval(secs => (new.details ->> 'timeout')::double precision),
            (new.details ->> 'deadline')::timestamptz);
        select case when runs.cancelling then 'cancelled' else 'open' end into state
        from flowstone.runs where runs.id = new.run_id;
        insert into flowstone.waits as known (run_id, asset, key, name, kind, attempt, deadline, status, id, about)
        values (new.run_id, new.asset, new.key, new.details ->> 'name', new.details ->> 'waits_for', new.attempt, until,
            state, new.details ->> 'id', new.details -> 'about')
        on conflict (run_id, asset, key, name) do update set kind = excluded.kind, attempt = excluded.attempt,
            asked_at = excluded.asked_at, deadline = excluded.deadline, status = excluded.status
            where known.status = 'early';
        if not found then
            -- A signal that was there before the step came to wait for it: it goes on at once.
            until := null;
            perform from flowstone.waits
            where waits.run_id = new.run_id and waits.asset = new.asset and waits.key = new.key
                and waits.name = new.details ->> 'name' and waits.status = 'answered';
            if found then
                update flowstone.runs set last_event = runs.last_event + 1 where runs.id = new.run_id
                returning runs.last_event into place;
                insert into flowstone.events (run_id, number, kind, at, asset, key, attempt, details)
                values (new.run_id, place, 'step.woken', clock_timestamp(), new.asset, new.key, new.attempt,
                    json_build_object('name', new.details ->> 'name'));
                perform pg_notify('flowstone', 'woken:' || new.run_id);
            end if;
        end if;
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
    if until is not null and not exists (
        select from flowstone.waits where waits.status = 'open' and waits.deadline < until
    ) then
        perform pg_notify('flowstone', 'deadline:');
    end if;
    return null;
end
$function$;
