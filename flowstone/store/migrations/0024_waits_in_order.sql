-- What ends waits, and what parks a run, is looked at when the waits that came with the same insert have been taken in. Rows
-- were looked at one by one before that, so a run was not parked by an insert with the waits it was parked for. Of triggers of
-- one kind the first by name comes first: come_to_wait, then told_of_waits.

drop trigger about_waits on flowstone.events;

create or replace function flowstone.about_waits() returns trigger language plpgsql as $function$
declare
    told flowstone.events%rowtype;
    until timestamptz;
begin
    for told in
        select added.* from added
        where added.kind in ('step.woken', 'step.token_issued', 'run.waiting', 'run.cancel_requested')
            or (added.kind = 'run.finished' and added.details ->> 'status' <> 'succeeded')
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
            -- If a step was woken meanwhile, the run stays its owner's, who goes on.
            if (select runs.open_waits from flowstone.runs where runs.id = told.run_id)
                = (told.details ->> 'steps')::bigint then
                -- Whoever waits for it may be anywhere, so its end is to be told to all nodes, as that of a submitted run.
                update flowstone.runs set owner = null, status = 'waiting', submitted = true, parked_at = clock_timestamp()
                where runs.id = told.run_id and runs.finish_order is null;
                until := clock_timestamp() + make_interval(secs => (told.details ->> 'timeout')::double precision);
                if found and until is not null then
                    insert into flowstone.waits (run_id, asset, key, name, kind, attempt, deadline)
                    values (told.run_id, '', '', '', 'timeout', 0, until);
                end if;
            end if;
        else
            update flowstone.waits set status = 'cancelled', answered_at = clock_timestamp()
            where waits.run_id = told.run_id and waits.status in ('open', 'early');
        end case;
        perform flowstone.tell_deadline(until);
    end loop;
    return null;
end
$function$;

create trigger told_of_waits after insert on flowstone.events referencing new table as added
for each statement execute function flowstone.about_waits();
