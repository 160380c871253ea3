-- $1: the run, $2: its epoch, $3: assets, $4: keys, $5: attempts, $6: nodes, $7: failed attempts before.
with fence as materialized (
    select runs.id from flowstone.runs where runs.id = $1 and runs.epoch = $2 and runs.finish_order is null for share
), given as (
    insert into flowstone.step_leases (run_id, asset, key, attempt, epoch, node, failed)
    select fence.id, lease.asset, lease.key, lease.attempt, $2, lease.node, lease.failed
    from fence, unnest($3::text[], $4::text[], $5::integer[], $6::text[], $7::integer[]) with ordinality
        as lease(asset, key, attempt, node, failed, place)
    order by lease.place
    on conflict (run_id, asset, key) do update set attempt = excluded.attempt, epoch = excluded.epoch,
        node = excluded.node, failed = excluded.failed, cancelled = false, granted = excluded.granted
    returning step_leases.node
)
select fence.id, (select count(pg_notify('flowstone', 'leases:' || told.node)) from (select distinct node from given) as told)
from fence
