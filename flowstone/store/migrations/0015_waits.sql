-- What steps wait for, and runs of which nothing is left but steps that wait: those are nobody's, and parked.
--
-- A wait comes into being with the event that says so, and is closed with its run. Its row is changed only by whoever
-- holds the lock on the row of its run.

create table flowstone.waits (
    run_id       text collate "C" not null,
    asset        text collate "C" not null,
    key          text collate "C" not null,
    name         text collate "C" not null,
    kind         text collate "C" not null,
    attempt      integer not null,
    asked_at     timestamptz not null default clock_timestamp(),
    deadline     timestamptz,
    status       text collate "C" not null default 'open',
    answer       json,
    answered_at  timestamptz,
    answered_by  text,
    primary key (run_id, asset, key, name)
) with (fillfactor = 80);
comment on table flowstone.waits is 'What steps wait for, or waited for; and, without a name, when the timeout of a parked run is over.';
comment on column flowstone.waits.kind is 'sleep, approval, signal; or timeout, of a run.';
comment on column flowstone.waits.deadline is 'When it is over without an answer, by the clock of this database.';
comment on column flowstone.waits.answered_by is 'Which request answered it: one whose own answer was lost knows itself again.';
comment on column flowstone.waits.status is 'open, answered, expired or cancelled; only open is left for another one.';

create index waits_deadline on flowstone.waits (deadline) where status = 'open' and deadline is not null;
create index waits_step on flowstone.waits (asset, key) where status = 'open';

create index events_woken on flowstone.events (run_id, number) where kind = 'step.woken';

create table flowstone.duties (
    name  text collate "C" primary key,
    node  text collate "C" not null
);
comment on table flowstone.duties is 'What one node does for all of them; another one takes it over when that is gone.';

alter table flowstone.runs add column parked_at timestamptz;
comment on column flowstone.runs.parked_at is 'Since when it is parked.';

-- Parked runs are looked at when they are woken, and not before, however many they are.

drop index flowstone.runs_owner;
create index runs_owner on flowstone.runs (owner) where finish_order is null and owner is not null;
create index runs_driven on flowstone.runs (arrival) where finish_order is null and status <> 'waiting';

create function flowstone.about_waits() returns trigger language plpgsql as $function$
declare
    until timestamptz;
begin
    case new.kind
    when 'step.waiting' then
        until := coalesce(clock_timestamp() + make_interval(secs => (new.details ->> 'timeout')::double precision),
            (new.details ->> 'deadline')::timestamptz);
        insert into flowstone.waits (run_id, asset, key, name, kind, attempt, deadline)
        values (new.run_id, new.asset, new.key, new.details ->> 'name', new.details ->> 'waits_for', new.attempt, until)
        on conflict do nothing;
    when 'step.woken' then
        update flowstone.waits set status = 'answered', answered_at = clock_timestamp()
        where waits.run_id = new.run_id and waits.asset = new.asset and waits.key = new.key
            and waits.name = new.details ->> 'name' and waits.status = 'open';
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
        where waits.run_id = new.run_id and waits.status = 'open';
    end case;
    if until is not null and not exists (
        select from flowstone.waits where waits.status = 'open' and waits.deadline < until
    ) then
        perform pg_notify('flowstone', 'deadline:');
    end if;
    return null;
end
$function$;

create trigger about_waits after insert on flowstone.events for each row
when (new.kind in ('step.waiting', 'step.woken', 'run.waiting')
    or (new.kind = 'run.finished' and new.details ->> 'status' <> 'succeeded'))
execute function flowstone.about_waits();
