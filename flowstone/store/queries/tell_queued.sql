-- $1: runs, whose rows are locked. Those that wait in the queue are told of again: whoever looked there meanwhile has passed
-- over what was locked.
select pg_notify('flowstone', 'queued:' || runs.pipeline) from flowstone.runs
where runs.id = any ($1::text[]) and runs.owner is null and runs.finish_order is null and runs.status = 'running'
