-- $1: names of pools. They, and those that anybody defines, set or asks for: how many slots, and who holds them.
select pools.name, coalesce(pools.set_slots, pools.defined) as slots, coalesce(held.taken, 0) as taken,
    coalesce(held.holders, '{}') as holders,
    (select count(*) from flowstone.pool_claims as waiting where waiting.pool = pools.name and not waiting.granted) as waiting
from flowstone.pools left join lateral (
    select sum(claims.slots) as taken,
        array_agg(claims.step || ' of run ' || claims.run_id order by claims.arrival) as holders
    from flowstone.pool_claims as claims where claims.pool = pools.name and claims.granted
) as held on true
where pools.name = any($1::text[]) or pools.set_slots is not null
    or exists (select from flowstone.pool_definitions as known where known.pool = pools.name)
    or exists (select from flowstone.pool_claims as claims where claims.pool = pools.name)
order by pools.name
