-- Approvals, signals and what a function did once: all are waits, which are answered in one way or another.

alter table flowstone.waits add column id text collate "C", add column about json;
comment on column flowstone.waits.id is 'What an approval is decided by.';
comment on column flowstone.waits.about is 'Of an approval: message, data and on_timeout.';
comment on column flowstone.waits.kind is 'sleep, approval, signal; once: what a function did once; or timeout, of a run.';
comment on column flowstone.waits.status is
    'early (a token was handed out, and the step does not wait yet), open, answered, rejected, expired or cancelled; '
    'only the first two are left for another one.';

create unique index waits_id on flowstone.waits (id) where id is not null;
create index waits_approvals on flowstone.waits (asked_at) where kind = 'approval';
create index waits_pending on flowstone.waits (asked_at) where kind = 'approval' and status = 'open';
create index waits_timeouts on flowstone.waits (run_id) where kind = 'timeout';

create table flowstone.tokens (
    hash    text collate "C" primary key,
    run_id  text collate "C" not null,
    asset   text collate "C" not null,
    key     text collate "C" not null,
    name    text collate "C" not null
);
comment on table flowstone.tokens is 'By which signals are sent; of each only the SHA-256 is known.';
create index tokens_run on flowstone.tokens (run_id);

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
        if (select count(*) from flowstone.waits where waits.run_id = new.run_id and waits.status = 'open')
            = (new.details ->> 'steps')::bigint
        then
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

drop trigger about_waits on flowstone.events;
create trigger about_waits after insert on flowstone.events for each row
when (new.kind in ('step.waiting', 'step.woken', 'step.token_issued', 'run.waiting', 'run.cancel_requested')
    or (new.kind = 'run.finished' and new.details ->> 'status' <> 'succeeded'))
execute function flowstone.about_waits();

-- What a function did once is kept with the step. The event only says that it is.

create function flowstone.keep_result() returns trigger language plpgsql as $function$
begin
    insert into flowstone.waits (run_id, asset, key, name, kind, attempt, status, answer, answered_at)
    values (new.run_id, new.asset, new.key, new.details ->> 'name', 'once', new.attempt, 'answered',
        new.details -> 'value', clock_timestamp())
    on conflict do nothing;
    new.details := json_build_object('name', new.details ->> 'name');
    return new;
end
$function$;

create trigger keep_result before insert on flowstone.events for each row
when (new.kind = 'step.kept') execute function flowstone.keep_result();

-- An answer is given by whoever holds the lock on the row of the run, in one round trip. Each statement sees what the
-- lock let through.

create function flowstone.answer_wait(
    of_run text, of_asset text, of_key text, of_name text, given text, request text, outcome text
) returns table (wait flowstone.waits, before text) language plpgsql as $function$
declare
    state text;
begin
    perform from flowstone.runs where runs.id = of_run and runs.finish_order is null for update;
    if not found then
        return;
    end if;
    select waits.status into state from flowstone.waits
    where waits.run_id = of_run and waits.asset = of_asset and waits.key = of_key and waits.name = of_name;
    return query
        update flowstone.waits set status = outcome, answer = given::json, answered_at = clock_timestamp(),
            answered_by = request
        where waits.run_id = of_run and waits.asset = of_asset and waits.key = of_key and waits.name = of_name
            and waits.kind <> 'timeout' and waits.status in ('open', 'early')
            and (waits.deadline is null or waits.deadline > clock_timestamp())
            and not exists (
                select from flowstone.materializations as ended
                where ended.run_id = of_run and ended.asset = of_asset and ended.key = of_key)
        returning waits, state;
end
$function$;
