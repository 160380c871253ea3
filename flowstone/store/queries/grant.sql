-- $1: the run, $2: its epoch, $3: assets, $4: keys, $5: attempts, $6: nodes, $7: failed attempts before.
-- They are granted in the order given, and their rows locked in key order. Whoever adopts a run grants again what others
-- execute already.
with fence as materialized (
    select runs.id, runs.last_event from flowstone.runs where runs.id = $1 and runs.epoch = $2 and runs.finish_order is null for share
), numbered as materialized (
    select fence.id, fence.last_event, lease.*, nextval('flowstone.grants') as granted
    from fence, (
        select lease.* from unnest($3::text[], $4::text[], $5::integer[], $6::text[], $7::integer[]) with ordinality
            as lease(asset, key, attempt, node, failed, place)
        order by lease.place
    ) as lease
), given as (
    insert into flowstone.step_leases as held (run_id, asset, key, attempt, epoch, node, failed, granted,
        since)
    select numbered.id, numbered.asset, numbered.key, numbered.attempt, $2, numbered.node, numbered.failed,
        numbered.granted, numbered.last_event
    from numbered order by numbered.asset collate "C", numbered.key collate "C"
    on conflict (run_id, asset, key) do update set attempt = excluded.attempt, epoch = excluded.epoch,
        node = excluded.node, failed = excluded.failed, cancelled = false, refused = null, granted = excluded.granted,
        since = case when held.attempt = excluded.attempt then held.since else excluded.since end
    returning held.node
)
select fence.id, (select count(pg_notify('flowstone', 'leases:' || told.node)) from (select distinct node from given) as told)
from fence
