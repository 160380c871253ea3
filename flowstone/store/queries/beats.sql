-- $1: pipelines. Every node, and whoever else owns an unfinished run of these pipelines: how often it has beaten, and how
-- many of these runs it owns; and whether it has claims to slots of pools, or defines any, or has callers who want a run.
select coalesce(nodes.id, held.owner) as id, coalesce(nodes.beats, 0) as beats, nodes.lease,
    coalesce(nodes.gone, false) as gone,
    extract(epoch from clock_timestamp() - nodes.beat_at)::double precision as age, coalesce(held.runs, 0) as runs,
    -- The first one is looked up; whether there are any might be found out by reading all.
    coalesce((select true from flowstone.pool_claims as held where held.node = nodes.id order by held.claim limit 1),
        (select true from flowstone.pool_definitions as own where own.node = nodes.id limit 1), false) as claims,
    coalesce((select true from flowstone.callers where callers.node = nodes.id and not callers.gone limit 1), false) as calls
from flowstone.nodes full join (
    select runs.owner, count(*) as runs from flowstone.runs
    where runs.finish_order is null and runs.owner is not null and runs.pipeline = any ($1::text[])
    group by runs.owner
) as held on held.owner = nodes.id
