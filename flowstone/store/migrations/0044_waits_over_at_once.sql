-- A wait that is asked for in a run that is being cancelled is over at once, and says when. Otherwise as in 0043.

create or replace function flowstone.come_to_wait() returns trigger language plpgsql as $function$
declare
    answered record;
    place bigint;
begin
    if not exists (select from added where added.kind = 'step.waiting') then
        return null;
    end if;
    -- Each has its number by the place of its event.
    insert into flowstone.waits as known (run_id, asset, key, name, kind, attempt, deadline, status, answered_at, id, about)
    select asked.run_id, asked.asset, asked.key, asked.details ->> 'name', asked.details ->> 'waits_for', asked.attempt,
        coalesce(clock_timestamp() + make_interval(secs => (asked.details ->> 'timeout')::double precision),
            (asked.details ->> 'deadline')::timestamptz),
        case when asked.cancelling then 'cancelled' else 'open' end, case when asked.cancelling then clock_timestamp() end,
        asked.details ->> 'id', asked.details -> 'about'
    from (
        select distinct on (first.run_id, first.asset, first.key, first.details ->> 'name') first.*, runs.cancelling
        from added as first join flowstone.runs on runs.id = first.run_id
        where first.kind = 'step.waiting'
        order by first.run_id, first.asset, first.key, first.details ->> 'name', first.number
    ) as asked
    order by asked.run_id, asked.number
    on conflict (run_id, asset, key, name) do update set kind = excluded.kind, attempt = excluded.attempt,
        asked_at = excluded.asked_at, arrival = excluded.arrival, deadline = excluded.deadline, status = excluded.status,
        answered_at = excluded.answered_at, id = excluded.id, about = excluded.about
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
