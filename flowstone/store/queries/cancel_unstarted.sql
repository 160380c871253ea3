-- $1: runs, which nobody owns and which never started; their rows are locked. Whoever waits for them is told.
with ended as (
    update flowstone.runs set status = 'cancelled', last_event = runs.last_event + 1, finished_at = clock_timestamp(),
        finish_order = nextval('flowstone.finishes')
    where runs.id = any ($1::text[])
    returning runs.id, runs.last_event, runs.asset
), noted as (
    insert into flowstone.events (run_id, number, kind, at, asset, key, details)
    select ended.id, ended.last_event, 'run.finished', clock_timestamp(), ended.asset, '', '{"status":"cancelled"}'
    from ended
), unqueued as (
    delete from flowstone.queue using ended where queue.dedupe_key = ended.id collate "default"
        and queue.status in ('queued', 'picked')
)
select pg_notify('flowstone', 'finished:' || ended.id) from ended
