-- $1: a run, whose row is locked. If it waits in the queue it is told of again: whoever looked there meanwhile has passed
-- over what was locked.
select pg_notify('flowstone', 'queued:' || runs.pipeline) from flowstone.runs
where runs.id = $1 and runs.owner is null and runs.finish_order is null and runs.status = 'running'
