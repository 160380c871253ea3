-- What was delivered leaves the outbox, in the order in which all lock it: each row is looked for by its key, for a plan for many
-- that was made when the outbox was nearly empty reads all of it.

create function flowstone.delivered(of_pipeline text, of_name text, lanes text[], numbers bigint[]) returns void language plpgsql
set enable_seqscan = off
set enable_bitmapscan = off
set plan_cache_mode = force_generic_plan
as $function$
declare
    of_follower integer;
    done record;
begin
    select followers.id into of_follower from flowstone.followers
    where followers.pipeline = of_pipeline and followers.name = of_name;
    if of_follower is null then
        return;
    end if;
    for done in
        select given.lane, given.number from unnest(lanes, numbers) as given(lane, number)
        order by given.lane collate "C", given.number
    loop
        delete from flowstone.outbox
        where outbox.follower = of_follower and outbox.lane = done.lane and outbox.number = done.number;
    end loop;
end
$function$;
