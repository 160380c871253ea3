-- Of a run that is to be cancelled nothing is answered any more, whatever its steps still say, and it is not parked: whoever
-- drives it ends it. It was parked, with what its steps waited for open, when only that flag was set and no event said so.

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
        end case;
        perform flowstone.tell_deadline(until);
    end loop;
    return null;
end
$function$;
