-- $1: the run, $2: its new owner, $3: its epoch, $4: whether its last owner gave it up, rather than being gone. As claim,
-- and counts how often that was done since the run got anywhere: a step was recorded, its last owner has leased one, or
-- an owner that is gone had begun with it, which it says when all that is left is to wait for steps. One that only
-- waited there for a slot did not end its node.
update flowstone.runs set owner = $2, epoch = runs.epoch + 1, adopted_at = clock_timestamp(),
    adopted_event = runs.last_event,
    adoptions = case when exists (
            select from flowstone.events as told where told.run_id = runs.id and told.number > runs.adopted_event
                and (told.kind like 'step.%' or (told.kind = 'run.started' and not $4::boolean)))
        or exists (select from flowstone.starts where starts.run_id = runs.id and starts.number > runs.adopted_event)
        or exists (
            select from flowstone.materializations as made
            where made.run_id = runs.id and made.number > runs.adopted_event and made.listed)
        or exists (select from flowstone.step_leases as held where held.run_id = runs.id and held.epoch = runs.epoch)
        then 1 else runs.adoptions + 1 end
where runs.id = $1 and runs.finish_order is null and runs.epoch = $3
returning runs.id, runs.pipeline, runs.asset, runs.request::text, runs.status, runs.created_at, runs.started_at, runs.finished_at,
    runs.owner, runs.epoch, runs.total, runs.key, runs.priority, runs.succeeded, runs.failed, runs.skipped,
    runs.reused, runs.cancelled, runs.adoptions
