-- $1: the node, $2: a run that was begun, and nobody drives. As take; nothing is returned if somebody else has it.
-- The queue is not ours, and neither is the collation of its index.
with chosen as materialized (
    select runs.id from flowstone.runs
    where runs.id = $2 and runs.owner is null and runs.finish_order is null and runs.status = 'running'
    for update skip locked
), gone as (
    delete from flowstone.queue using chosen where queue.dedupe_key = chosen.id collate "default"
        and queue.status in ('queued', 'picked')
), owned as (
    update flowstone.runs set owner = $1, epoch = runs.epoch + 1 from chosen where runs.id = chosen.id
    returning runs.*
)
select owned.id, owned.pipeline, owned.asset, owned.request::text, owned.status, owned.created_at, owned.started_at,
    owned.finished_at, owned.owner, owned.epoch, owned.total, owned.key, owned.priority, owned.succeeded,
    owned.failed, owned.skipped, owned.reused, owned.cancelled
from owned
