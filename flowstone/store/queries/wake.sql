-- $1: runs, whose rows are locked, $2: assets, $3: keys, $4: attempts, $5: names of waits. Steps that go on; what was parked
-- is so no more. Whoever drives or waits for such a run is told.
with given as materialized (
    select named.*, row_number() over (partition by named.run_id order by named.place) as step
    from unnest($1::text[], $2::text[], $3::text[], $4::integer[], $5::text[]) with ordinality as named(
        run_id, asset, key, attempt, name, place)
), told as (
    insert into flowstone.events (run_id, number, kind, at, asset, key, attempt, details)
    select given.run_id, runs.last_event + given.step, 'step.woken', clock_timestamp(), given.asset, given.key,
        given.attempt, json_build_object('name', given.name)
    from given join flowstone.runs on runs.id = given.run_id
), counted as (
    select given.run_id, count(*) as steps from given group by given.run_id
), past as (
    delete from flowstone.waits using counted
    where waits.run_id = counted.run_id and waits.asset = '' and waits.key = '' and waits.name = ''
), woken as (
    update flowstone.runs set last_event = runs.last_event + counted.steps, parked_at = null,
        status = case when before.status = 'waiting' then 'running' else before.status end,
        spent = before.spent + coalesce(extract(epoch from clock_timestamp() - before.parked_at)::double precision, 0)
    from counted join flowstone.runs as before on before.id = counted.run_id
    where runs.id = counted.run_id
    returning runs.id, runs.pipeline, runs.priority, before.status = 'waiting' as parked
)
select woken.id, woken.pipeline, woken.priority, woken.parked, pg_notify('flowstone', 'woken:' || woken.id) from woken
