-- A node may be granted what it has given back already: what it asked for in a call that it took for lost may be done after that.
-- To give it back again it has to know the pools. Otherwise as in 0020.

drop function flowstone.exchange_slots;

create function flowstone.exchange_slots(
    node_id text,
    node_fence integer,
    locked text[],           -- the pools of all that follows, and those to be looked at
    known_claim bigint[],    -- known to be granted
    gone_claim bigint[],     -- given back, or not wanted any more
    asked_claim bigint[],    -- a row for each pool
    asked_pool text[],
    asked_slots integer[],
    asked_priority integer[],
    asked_run text[],
    asked_step text[]
) returns table (fence integer, claim bigint, pools text[])
language plpgsql
set enable_seqscan = off
set jit = off
set plan_cache_mode = force_generic_plan
as $function$
#variable_conflict use_column
declare
    here integer;
begin
    select nodes.fence into here from flowstone.nodes where nodes.id = node_id for key share;
    if here is distinct from node_fence then
        return query select here, null::bigint, null::text[] where here is not null;
        return;
    end if;
    perform 1 from flowstone.pools where pools.name = any(locked) order by pools.name for no key update;
    delete from flowstone.pool_claims as gone where gone.node = node_id and gone.claim = any(gone_claim);
    update flowstone.pool_claims as held set known = true
    where held.node = node_id and held.claim = any(known_claim) and not held.known;
    with asked as materialized (
        select given.* from unnest(asked_claim, asked_pool, asked_slots, asked_priority, asked_run, asked_step)
            as given(claim, pool, slots, priority, run_id, step)
    ), arrived as materialized (
        select each.claim, each.pools, nextval('flowstone.pool_arrivals') as arrival
        from (select asked.claim, count(*) as pools from asked group by asked.claim order by asked.claim) as each
    )
    insert into flowstone.pool_claims (node, claim, pool, slots, alone, priority, arrival, run_id, step)
    select node_id, asked.claim, asked.pool, asked.slots, arrived.pools = 1, asked.priority, arrived.arrival,
        asked.run_id, asked.step
    from asked join arrived on arrived.claim = asked.claim order by asked.claim, asked.pool collate "C"
    on conflict do nothing;
    perform flowstone.grant_slots(locked, node_id);
    return query
        select here, null::bigint, null::text[]
        union all
        (select here, held.claim, array_agg(held.pool order by held.pool) from flowstone.pool_claims as held
            where held.node = node_id and held.granted and not held.known group by held.claim);
end
$function$;
