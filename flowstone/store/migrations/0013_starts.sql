-- The starts of first attempts are half of all that happens: those of a run that are recorded at once take one row.
--
-- A first attempt overtakes none, so no fence looks for its start. Starts of later attempts, and those that are there
-- already, are rows of `events`.

create table flowstone.starts (
    run_id  text collate "C" not null,
    number  bigint not null,
    at      timestamptz[] not null,
    asset   text[] collate "C" not null,
    key     text[] collate "C" not null,
    primary key (run_id, number)
);
comment on table flowstone.starts is 'Starts of first attempts, in the order of their numbers, which have no gap.';
comment on column flowstone.starts.number is 'The place of the last one among the events of the run.';
comment on table flowstone.events is
    'What happened in a run, but for the ends of steps, which are materializations, and the starts of first attempts.';

-- As it was made in 0006, and with starts of first attempts. All that are accepted of a run follow one another, at the
-- place of the first of them. An event that ends a step has no kind and no time of its own: its record says both.

drop function flowstone.record;

create function flowstone.record(
    writer            text,         -- the node that writes: a run's owner is told of what others record
    journal_id        uuid,         -- who numbers the batches; null: not numbered
    batch_number      bigint,
    new_id            text[],
    new_pipeline      text[],
    new_asset         text[],
    new_request       text[],
    new_status        text[],
    new_created_at    timestamptz[],
    new_started_at    timestamptz[],
    new_finished_at   timestamptz[],
    new_owner         text[],
    new_epoch         integer[],
    new_total         bigint[],
    new_key           text[],
    new_priority      integer[],
    entry_run         text[],
    entry_epoch       integer[],
    start_entry       integer[],    -- of first attempts, each an entry of its own
    start_run         text[],
    start_at          timestamptz[],
    start_asset       text[],
    start_key         text[],
    event_entry       integer[],    -- from 1, in ascending order
    event_run         text[],
    event_kind        text[],       -- null: it ends a step
    event_at          timestamptz[],
    event_asset       text[],
    event_key         text[],
    event_attempt     integer[],    -- null: not said by an attempt about itself
    event_details     text[],
    record_status     text[],       -- of a step's record, or the status in which a run finishes
    record_attempt    integer[],
    record_started_at timestamptz[],
    record_finished_at timestamptz[], -- not null: this event ends a step
    record_code_version text[],
    record_data_version text[],
    record_location   text[],
    record_io         text[],
    record_size       bigint[],     -- or the total of a run that starts
    record_details    text[],
    input_entry       integer[],
    input_asset       text[],
    input_key         text[],
    input_consumer    text[],
    input_consumer_key text[],
    input_run         text[],
    payload_entry     integer[],
    payload_location  text[],
    payload_content   bytea[]
) returns table (entry integer, reason text, asset text, key text, number bigint)
language plpgsql
set enable_seqscan = off
set enable_hashjoin = off
set enable_mergejoin = off
set jit = off
set plan_cache_mode = force_generic_plan
as $function$
#variable_conflict use_column
declare
    refusals jsonb;
    out_entries integer[] := '{}';
    notices text[] := '{}';
    notice text;
begin
    if journal_id is not null then
        insert into flowstone.journals as known (id, batch) values (journal_id, batch_number)
        on conflict (id) do update set batch = excluded.batch, refused = null, at = now()
        where known.batch < excluded.batch;
        if not found then
            -- Recorded before; only the answer was lost.
            return query
                select answer.* from flowstone.journals known,
                    jsonb_to_recordset(coalesce(known.refused, '[]')) as answer(
                        entry integer, reason text, asset text, key text, number bigint)
                where known.id = journal_id;
            return;
        end if;
    end if;

    if cardinality(new_id) > 0 then
        with made as materialized (
            select given.*, nextval('flowstone.arrivals') as arrival
            from unnest(new_id, new_pipeline, new_asset, new_request, new_status, new_created_at, new_started_at,
                    new_finished_at, new_owner, new_epoch, new_total, new_key, new_priority) as given(
                id, pipeline, asset, request, status, created_at, started_at, finished_at, owner, epoch, total,
                key, priority)
        )
        insert into flowstone.runs (id, pipeline, asset, request, status, created_at, started_at, finished_at,
            owner, epoch, total, key, priority, arrival, finish_order)
        select made.id, made.pipeline, made.asset, made.request::json, made.status, made.created_at,
            made.started_at, made.finished_at, made.owner, made.epoch, made.total, made.key, made.priority,
            made.arrival, case when made.status in ('succeeded', 'failed', 'skipped', 'reused', 'cancelled')
                then nextval('flowstone.finishes') end
        from made
        -- Keys first: a key that somebody else is just taking is waited for, and ids are new.
        order by made.key collate "C" nulls first, made.id collate "C"
        on conflict do nothing;
    end if;

    perform 1 from flowstone.runs where runs.id = any(entry_run) order by runs.id for update;

    with asked as materialized (
        select given.run_id, given.epoch, given.entry::integer
        from unnest(entry_run, entry_epoch) with ordinality as given(run_id, epoch, entry)
    ), stepped as materialized (
        select given.* from unnest(event_entry, event_run, event_kind, event_asset, event_key, event_attempt) as given(
            entry, run_id, kind, asset, key, attempt)
        where given.kind is null or given.kind like 'step.%'
        union all
        select given.entry, given.run_id, 'step.started', given.asset, given.key, 1
        from unnest(start_entry, start_run, start_asset, start_key) as given(entry, run_id, asset, key)
    ), fence as (
        select asked.entry, 1 as rank, case
                when runs.id is null then 'unknown'
                when runs.finish_order is not null then 'finished'
                else 'epoch' end as reason,
            null::text as asset, null::text as key, runs.epoch::bigint as number
        from asked left join flowstone.runs on runs.id = asked.run_id
        where runs.id is null or runs.finish_order is not null or asked.epoch < runs.epoch
        union all
        select stepped.entry, 2, 'ended', stepped.asset, stepped.key, null
        from stepped join flowstone.materializations as ended
            on ended.run_id = stepped.run_id and ended.asset = stepped.asset and ended.key = stepped.key
        union all
        select stepped.entry, 3, 'overtaken', stepped.asset, stepped.key, later.attempt
        from stepped cross join lateral (
            select events.attempt from flowstone.events
            where events.run_id = stepped.run_id and events.asset = stepped.asset
                and events.key = stepped.key and events.kind = 'step.started'
            order by events.attempt desc limit 1
        ) as later
        where later.attempt > stepped.attempt
        union all
        -- A new run that is not there as it was given: another one has its id, or its key.
        select -made.place::integer, 1, case when runs.id is null then 'key' else 'taken' end, null, (
                select holder.id from flowstone.runs as holder
                where holder.key = made.key and holder.finish_order is null), null
        from unnest(new_id, new_pipeline, new_request, new_created_at, new_key) with ordinality as made(
            id, pipeline, request, created_at, key, place)
        left join flowstone.runs on runs.id = made.id
        where (runs.pipeline, runs.request::text, runs.created_at, runs.key)
            is distinct from (made.pipeline, made.request, made.created_at, made.key)
    ), first_fence as (
        select distinct on (fence.entry) fence.* from fence order by fence.entry, fence.rank
    )
    select jsonb_agg(to_jsonb(first_fence) - 'rank'), coalesce(array_agg(first_fence.entry), '{}')
    into refusals, out_entries from first_fence;

    if cardinality(event_entry) > 0 or cardinality(start_entry) > 0 then
        with begun as materialized (
            select given.run_id, min(given.entry) as entry, count(*)::integer as events,
                array_agg(given.at order by given.entry) as at, array_agg(given.asset order by given.entry) as asset,
                array_agg(given.key order by given.entry) as key
            from unnest(start_entry, start_run, start_at, start_asset, start_key) as given(
                entry, run_id, at, asset, key)
            where given.entry <> all (out_entries)
            group by given.run_id
        ), given as (
            select given.*, 1 as events, null::timestamptz[] as starts_at, null::text[] as starts_asset,
                null::text[] as starts_key
            from unnest(event_entry, event_run, event_kind, event_at, event_asset, event_key, event_attempt,
                    event_details, record_status, record_attempt, record_started_at, record_finished_at,
                    record_code_version, record_data_version, record_location, record_io, record_size,
                    record_details) with ordinality as given(
                entry, run_id, kind, at, asset, key, attempt, details, status, record_attempt, started_at,
                finished_at, code_version, data_version, location, io, size, record_details, place)
            where given.entry <> all (out_entries)
            union all
            select begun.entry, begun.run_id, null, null, null, null, null, null, null, null, null, null, null, null,
                null, null, null, null, 0, begun.events, begun.at, begun.asset, begun.key
            from begun
        ), told as materialized (
            select given.*, sum(given.events) over (
                partition by given.run_id order by given.entry, given.place rows unbounded preceding) as step
            from given
            order by given.entry, given.place
        ), numbered as materialized (
            select told.*, runs.last_event + told.step as number,
                case when told.finished_at is not null then nextval('flowstone.arrivals') end as arrival
            from told join flowstone.runs on runs.id = told.run_id
        ), started as (
            insert into flowstone.starts (run_id, number, at, asset, key)
            select numbered.run_id, numbered.number, numbered.starts_at, numbered.starts_asset, numbered.starts_key
            from numbered where numbered.starts_at is not null
        ), plain as (
            insert into flowstone.events (run_id, number, kind, at, asset, key, attempt, details)
            select numbered.run_id, numbered.number, numbered.kind, numbered.at, numbered.asset, numbered.key,
                numbered.attempt, numbered.details::json
            from numbered where numbered.kind is not null
        ), ended as (
            insert into flowstone.materializations (run_id, asset, key, number, status, attempt, started_at,
                finished_at, code_version, data_version, location, io, size, details, event, arrival)
            select numbered.run_id, numbered.asset, numbered.key, numbered.number, numbered.status,
                numbered.record_attempt, numbered.started_at, numbered.finished_at, numbered.code_version,
                numbered.data_version, numbered.location, numbered.io, numbered.size,
                numbered.record_details::json, numbered.details::json, numbered.arrival
            from numbered where numbered.finished_at is not null
        ), success as materialized (
            select numbered.asset, numbered.key, numbered.run_id, numbered.arrival
            from numbered where numbered.finished_at is not null and numbered.status = 'succeeded'
        ), fresh as (
            insert into flowstone.current as known (asset, key, run_id, arrival)
            select distinct on (success.asset collate "C", success.key collate "C") success.* from success
            order by success.asset collate "C", success.key collate "C", success.arrival desc
            on conflict (asset, key) do update set run_id = excluded.run_id, arrival = excluded.arrival, valid = true
            where excluded.arrival > known.arrival
            returning 1
        ), looked_at as (
            -- Reads what `fresh` gives, so that its locks are taken before these.
            insert into flowstone.superseded as known (asset, key)
            select success.asset, success.key from success, (select count(*) from fresh) as after_it
            group by success.asset, success.key
            having count(*) > 1 or exists (
                select from flowstone.current
                where current.asset = success.asset and current.key = success.key)
            order by success.asset collate "C", success.key collate "C"
            on conflict (asset, key) do update set kept = null where known.kept is not null
        ), sums as (
            select told.run_id, sum(told.events) as events,
                count(*) filter (where told.finished_at is not null and told.status = 'succeeded') as succeeded,
                count(*) filter (where told.finished_at is not null and told.status = 'failed') as failed,
                count(*) filter (where told.finished_at is not null and told.status = 'skipped') as skipped,
                count(*) filter (where told.finished_at is not null and told.status = 'reused') as reused,
                count(*) filter (where told.finished_at is not null and told.status = 'cancelled') as cancelled,
                min(told.at) filter (where told.kind = 'run.started') as started_at,
                (array_agg(told.size order by told.step desc) filter (where told.kind = 'run.started'))[1]
                    as total,
                max(told.status) filter (where told.kind = 'run.finished') as final,
                max(told.at) filter (where told.kind = 'run.finished') as finished_at,
                coalesce(bool_or(told.kind = 'run.cancel_requested'), false) as cancelling
            from told group by told.run_id
        ), headed as (
            update flowstone.runs set
                last_event = runs.last_event + sums.events,
                succeeded = runs.succeeded + sums.succeeded,
                failed = runs.failed + sums.failed,
                skipped = runs.skipped + sums.skipped,
                reused = runs.reused + sums.reused,
                cancelled = runs.cancelled + sums.cancelled,
                status = coalesce(sums.final,
                    case when sums.started_at is not null then 'running' else runs.status end),
                started_at = coalesce(runs.started_at, sums.started_at),
                total = coalesce(sums.total, runs.total),
                finished_at = coalesce(sums.finished_at, runs.finished_at),
                finish_order = case when sums.final is not null then nextval('flowstone.finishes') end,
                long = sums.final is not null and runs.last_event + sums.events - runs.first_event >= 10000,
                cancelling = runs.cancelling or sums.cancelling
            from sums where runs.id = sums.run_id
            returning runs.id, runs.owner, runs.submitted, sums.final
        )
        select coalesce(array_agg(case when headed.final is not null then 'finished:' else 'steps:' end || headed.id)
            filter (where (headed.final is not null and headed.submitted)
                or (headed.final is null and headed.owner <> writer)), '{}')
        into notices from headed;
    end if;

    if cardinality(input_entry) > 0 then
        insert into flowstone.inputs (asset, key, consumer, consumer_key, run_id)
        select distinct given.asset, given.key, given.consumer, given.consumer_key, given.run_id
        from unnest(input_entry, input_asset, input_key, input_consumer, input_consumer_key, input_run) as given(
            entry, asset, key, consumer, consumer_key, run_id)
        where given.entry <> all (out_entries);
    end if;

    if cardinality(payload_entry) > 0 then
        insert into flowstone.payloads (location, content)
        select given.location, given.content
        from unnest(payload_entry, payload_location, payload_content) as given(entry, location, content)
        where given.entry <> all (out_entries)
        order by given.location collate "C"
        on conflict do nothing;
    end if;

    foreach notice in array notices loop
        perform pg_notify('flowstone', notice);
    end loop;

    if refusals is not null then
        if journal_id is not null then
            update flowstone.journals set refused = refusals where journals.id = journal_id;
        end if;
        return query select answer.* from jsonb_to_recordset(refusals) as answer(
            entry integer, reason text, asset text, key text, number bigint);
    end if;
end
$function$;
