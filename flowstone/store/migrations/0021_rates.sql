-- Rates that all nodes share: a row a rate, which says when the next turn is that nobody has reserved.

create table flowstone.rates (
    name  text collate "C" primary key,
    next  timestamptz not null
) with (fillfactor = 50);
comment on table flowstone.rates is 'How far the turns of each rate are reserved.';
comment on column flowstone.rates.next is 'The next turn that nobody has reserved, by the clock of this database.';

-- Reserve turns. None is saved up, so the first is not before now. Nobody reserves one that is more than two intervals
-- or two seconds ahead, so that turns are shared out while they are wanted; what is farther ahead than that can bring
-- about was reserved before the clock was set back, and counts no more.

create function flowstone.reserve_turns(
    wanted_rate text[],
    wanted_gap double precision[],
    wanted_count integer[],
    wanted_lead double precision[]
) returns table (rate text, here double precision, first double precision, turns integer)
language plpgsql
as $function$
declare
    wanted record;
    ahead interval;
    at timestamptz;
    instant timestamptz;
begin
    for wanted in
        select given.* from unnest(wanted_rate, wanted_gap, wanted_count, wanted_lead) as given(name, gap, count, lead)
        order by given.name collate "C"
    loop
        insert into flowstone.rates (name, next) values (wanted.name, '-infinity') on conflict do nothing;
        select rates.next into at from flowstone.rates where rates.name = wanted.name for no key update;
        instant := clock_timestamp();
        ahead := make_interval(secs => greatest(2 * wanted.gap, 2.0));
        if at > instant + 2 * ahead then
            -- What is reserved in truth ends before that.
            at := instant + 2 * ahead;
            update flowstone.rates set next = at where rates.name = wanted.name;
        end if;
        at := greatest(at, instant + make_interval(secs => wanted.lead));
        rate := wanted.name;
        here := extract(epoch from instant)::double precision;
        turns := case when at > instant + ahead then 0 else wanted.count end;
        if turns > 0 then
            update flowstone.rates set next = at + make_interval(secs => turns * wanted.gap)
            where rates.name = wanted.name;
        else
            at := at - ahead / 2;
        end if;
        first := extract(epoch from at)::double precision;
        return next;
    end loop;
end
$function$;
