-- Which node executes an attempt. Starts of first attempts that share a row are written by the node that executes them; of
-- others it is among the details of the event. Of what began before this it is not known.

alter table flowstone.starts add column node text collate "C";
comment on column flowstone.starts.node is 'The node that executes these attempts; null: not known.';

-- As in 0016, with the node.

create or replace function flowstone.record(
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
    run_id            text[],       -- each run of the entries, once
    run_events        bigint[],     -- how many events it gets; their places are counted from one
    run_started_at    timestamptz[],
    run_total         bigint[],     -- of a run that starts
    run_final         text[],       -- the status in which it finishes
    run_finished_at   timestamptz[],
    run_cancelling    boolean[],
    run_succeeded     integer[],    -- steps that end so
    run_failed        integer[],
    run_skipped       integer[],
    run_reused        integer[],
    run_cancelled     integer[],
    run_starts_place  bigint[],     -- of the last start of a first attempt
    run_starts_from   integer[],    -- and where its starts are among all
    run_starts_to     integer[],
    start_entry       integer[],    -- of first attempts, each an entry of its own
    start_run         text[],
    start_at          timestamptz[],
    start_asset       text[],
    start_key         text[],
    event_entry       integer[],    -- events that end no step
    event_place       bigint[],
    event_run         text[],
    event_kind        text[],
    event_at          timestamptz[],
    event_asset       text[],
    event_key         text[],
    event_attempt     integer[],    -- null: not said by an attempt about itself
    event_details     text[],
    end_entry         integer[],
    end_place         bigint[],
    end_run           text[],
    end_asset         text[],
    end_key           text[],
    end_told_by       integer[],    -- the attempt that says so; null: not said by an attempt about itself
    end_event         text[],
    end_status        text[],
    end_attempt       integer[],
    end_started_at    timestamptz[],
    end_finished_at   timestamptz[],
    end_code_version  text[],
    end_data_version  text[],
    end_location      text[],
    end_io            text[],
    end_size          bigint[],
    end_details       text[],
    input_asset       text[],
    input_key         text[],
    input_consumer    text[],
    input_consumer_key text[],
    input_run         text[],
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
    before bigint[];  -- By entry, the number of the last event of its run.
    stale boolean := false;
    refusals jsonb;
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

        -- A new run that is not there as it was given: another one has its id, or its key.
        select jsonb_agg(jsonb_build_object(
            'entry', -made.place, 'reason', case when runs.id is null then 'key' else 'taken' end, 'key', (
                select holder.id from flowstone.runs as holder
                where holder.key = made.key and holder.finish_order is null)))
        into refusals
        from unnest(new_id, new_pipeline, new_request, new_created_at, new_key) with ordinality as made(
            id, pipeline, request, created_at, key, place)
        left join flowstone.runs on runs.id = made.id
        where (runs.pipeline, runs.request::text, runs.created_at, runs.key)
            is distinct from (made.pipeline, made.request, made.created_at, made.key);
    end if;

    if cardinality(entry_run) > 0 then
        perform 1 from flowstone.runs where runs.id = any(run_id) order by runs.id for update;

        select array_agg(runs.last_event order by asked.entry),
            bool_or(runs.id is null or runs.finish_order is not null or asked.epoch < runs.epoch)
        into before, stale
        from unnest(entry_run, entry_epoch) with ordinality as asked(run_id, epoch, entry)
        left join flowstone.runs on runs.id = asked.run_id;

        -- Nearly always nothing is refused, which takes less to find than whom and why.
        if stale or exists (
            select from unnest(event_run || end_run || start_run, event_asset || end_asset || start_asset,
                event_key || end_key || start_key, event_kind) as given(run_id, asset, key, kind)
            where (given.kind is null or given.kind like 'step.%') and (
                exists (
                    select from flowstone.materializations as ended
                    where ended.run_id = given.run_id and ended.asset = given.asset and ended.key = given.key)
                or exists (
                    select from flowstone.events
                    where events.run_id = given.run_id and events.asset = given.asset
                        and events.key = given.key and events.kind = 'step.started'))
        ) then
            with asked as materialized (
                select given.run_id, given.epoch, given.entry::integer
                from unnest(entry_run, entry_epoch) with ordinality as given(run_id, epoch, entry)
            ), stepped as materialized (
                select given.* from unnest(event_entry, event_run, event_kind, event_asset, event_key,
                    event_attempt) as given(entry, run_id, kind, asset, key, attempt)
                where given.kind like 'step.%'
                union all
                select given.entry, given.run_id, null, given.asset, given.key, given.attempt
                from unnest(end_entry, end_run, end_asset, end_key, end_told_by) as given(
                    entry, run_id, asset, key, attempt)
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
            ), first_fence as (
                select distinct on (fence.entry) fence.* from fence order by fence.entry, fence.rank
            )
            select coalesce(refusals || jsonb_agg(to_jsonb(first_fence) - 'rank'),
                    jsonb_agg(to_jsonb(first_fence) - 'rank'), refusals),
                count(*) > 0
            into refusals, stale from first_fence;
        end if;
    end if;

    if refusals is not null then
        if journal_id is not null then
            update flowstone.journals set refused = refusals where journals.id = journal_id;
        end if;
        return query select answer.* from jsonb_to_recordset(refusals) as answer(
            entry integer, reason text, asset text, key text, number bigint);
        if stale then
            return;
        end if;
    end if;
    if cardinality(run_id) = 0 then
        return;
    end if;

    with headed as (
        update flowstone.runs set
            last_event = runs.last_event + given.events,
            succeeded = runs.succeeded + given.succeeded,
            failed = runs.failed + given.failed,
            skipped = runs.skipped + given.skipped,
            reused = runs.reused + given.reused,
            cancelled = runs.cancelled + given.cancelled,
            status = coalesce(given.final, case when given.started_at is null then runs.status else 'running' end),
            started_at = coalesce(runs.started_at, given.started_at),
            total = coalesce(given.total, runs.total),
            finished_at = coalesce(given.finished_at, runs.finished_at),
            finish_order = case when given.final is not null then nextval('flowstone.finishes') end,
            long = given.final is not null and runs.last_event + given.events - runs.first_event >= 10000,
            cancelling = runs.cancelling or given.cancelling is not null
        from unnest(run_id, run_events, run_started_at, run_total, run_final, run_finished_at, run_cancelling,
                run_succeeded, run_failed, run_skipped, run_reused, run_cancelled) as given(
            id, events, started_at, total, final, finished_at, cancelling, succeeded, failed, skipped, reused,
            cancelled)
        where runs.id = given.id
        returning runs.id, runs.owner, runs.submitted, given.final
    )
    select array_agg(case when headed.final is not null then 'finished:' else 'steps:' end || headed.id)
    into notices from headed
    where case when headed.final is not null then headed.submitted else headed.owner <> writer end;

    if cardinality(start_entry) > 0 then
        insert into flowstone.starts (run_id, number, at, asset, key, node)
        select given.id, before[start_entry[given.first]] + given.place, start_at[given.first : given.last],
            start_asset[given.first : given.last], start_key[given.first : given.last], nullif(writer, '')
        from unnest(run_id, run_starts_place, run_starts_from, run_starts_to) as given(id, place, first, last)
        where given.place is not null;
    end if;

    if cardinality(event_entry) > 0 then
        insert into flowstone.events (run_id, number, kind, at, asset, key, attempt, details)
        select given.run_id, before[given.entry] + given.place, given.kind, given.at, given.asset, given.key,
            given.attempt, given.details::json
        from unnest(event_entry, event_place, event_run, event_kind, event_at, event_asset, event_key,
                event_attempt, event_details) as given(
            entry, place, run_id, kind, at, asset, key, attempt, details);
    end if;

    if cardinality(end_entry) > 0 then
        with ended as (
            insert into flowstone.materializations as made (run_id, asset, key, number, status, attempt, started_at,
                finished_at, code_version, data_version, location, io, size, details, event, arrival)
            select given.run_id, given.asset, given.key, before[given.entry] + given.place, given.status,
                given.attempt, given.started_at, given.finished_at, given.code_version, given.data_version,
                given.location, given.io, given.size, given.details::json, given.event::json,
                nextval('flowstone.arrivals')
            from unnest(end_entry, end_place, end_run, end_asset, end_key, end_event, end_status, end_attempt,
                    end_started_at, end_finished_at, end_code_version, end_data_version, end_location, end_io,
                    end_size, end_details) as given(
                entry, place, run_id, asset, key, event, status, attempt, started_at, finished_at, code_version,
                data_version, location, io, size, details)
            returning made.asset, made.key, made.run_id, made.arrival, made.status
        ), success as materialized (
            select ended.asset, ended.key, ended.run_id, ended.arrival from ended where ended.status = 'succeeded'
        ), fresh as (
            insert into flowstone.current as known (asset, key, run_id, arrival)
            select distinct on (success.asset collate "C", success.key collate "C") success.* from success
            order by success.asset collate "C", success.key collate "C", success.arrival desc
            on conflict (asset, key) do update set run_id = excluded.run_id, arrival = excluded.arrival, valid = true
            where excluded.arrival > known.arrival
            returning 1
        )
        -- Reads what `fresh` gives, so that its locks are taken before these.
        insert into flowstone.superseded as known (asset, key)
        select success.asset, success.key from success, (select count(*) from fresh) as after_it
        group by success.asset, success.key
        having count(*) > 1 or exists (
            select from flowstone.current
            where current.asset = success.asset and current.key = success.key)
        order by success.asset collate "C", success.key collate "C"
        on conflict (asset, key) do update set kept = null where known.kept is not null;
    end if;

    if cardinality(input_run) > 0 then
        insert into flowstone.inputs (asset, key, consumer, consumer_key, run_id)
        select given.asset, given.key, given.consumer, given.consumer_key, given.run_id
        from unnest(input_asset, input_key, input_consumer, input_consumer_key, input_run) as given(
            asset, key, consumer, consumer_key, run_id);
    end if;

    if cardinality(payload_location) > 0 then
        insert into flowstone.payloads (location, content)
        select given.location, given.content from unnest(payload_location, payload_content) as given(location, content)
        order by given.location collate "C"
        on conflict do nothing;
    end if;

    if notices is not null then
        foreach notice in array notices loop
            perform pg_notify('flowstone', notice);
        end loop;
    end if;
end
$function$;

-- As in 0039, with the node.

create or replace function flowstone.pending_deliveries(
    of_pipeline text, of_name text, how_many bigint, of_one_lane bigint, but text[]
) returns table (
    lane text, number bigint, attempts integer, told text, kind text, at timestamptz, run_id text, asset text, key text,
    attempt integer, details text, event text, status text, started_at timestamptz, finished_at timestamptz,
    code_version text, data_version text, location text, io text, size bigint
) language plpgsql
set enable_seqscan = off
set enable_bitmapscan = off
set enable_hashjoin = off
set enable_mergejoin = off
set jit = off
set plan_cache_mode = force_generic_plan
as $function$
#variable_conflict use_column
begin
    return query
    with recursive followed as materialized (
        select followers.id from flowstone.followers where followers.pipeline = of_pipeline and followers.name = of_name
    ), lanes(number, lane) as (
        (select outbox.lane_number, outbox.lane from flowstone.outbox
        where outbox.follower = (select followed.id from followed)
        order by outbox.lane_number limit 1)
        union all
        select next.lane_number, next.lane
        from lanes cross join lateral (
            select outbox.lane_number, outbox.lane from flowstone.outbox
            where outbox.follower = (select followed.id from followed) and outbox.lane_number > lanes.number
            order by outbox.lane_number limit 1
        ) as next
    ), chosen as materialized (
        select open_lanes.number as lane_number, first.lane, first.number, first.attempts, first.event::text as told
        from (
            select lanes.number, lanes.lane from lanes
            where lanes.lane <> all (but) and lanes.number = (
                select first.lane_number from flowstone.outbox as first
                where first.follower = (select followed.id from followed) and first.lane = lanes.lane
                order by first.number limit 1)
            limit how_many
        ) as open_lanes cross join lateral (
            select outbox.lane, outbox.number, outbox.attempts, outbox.event
            from flowstone.outbox
            where outbox.follower = (select followed.id from followed) and outbox.lane = open_lanes.lane
            order by outbox.number limit of_one_lane
        ) as first
        limit how_many
    )
    select chosen.lane, chosen.number, chosen.attempts, chosen.told, event.kind, event.at, chosen.lane as run_id, event.asset,
        event.key, event.attempt, event.details, event.event, event.status, event.started_at, event.finished_at,
        event.code_version, event.data_version, event.location, event.io, event.size
    from chosen left join lateral (
        select events.kind, events.at, events.asset, events.key, events.attempt, events.details::text, null::text as event,
            null::text as status, null::timestamptz as started_at, null::timestamptz as finished_at,
            null::text as code_version, null::text as data_version, null::text as location, null::text as io,
            null::bigint as size
        from flowstone.events where events.run_id = chosen.lane and events.number = chosen.number
        union all
        select null, null, made.asset, made.key, made.attempt, made.details::text, made.event::text, made.status,
            made.started_at, made.finished_at, made.code_version, made.data_version, made.location, made.io, made.size
        from flowstone.materializations as made
        where made.run_id = chosen.lane and made.number = chosen.number and made.listed
        union all
        select 'step.started', begun.at[begun.place], begun.asset[begun.place], begun.key[begun.place], 1,
            case when begun.node is not null then json_build_object('node', begun.node)::text end, null, null, null, null, null,
            null, null, null, null
        from (
            select starts.at, starts.asset, starts.key, starts.node,
                (chosen.number - starts.number + cardinality(starts.asset))::integer as place
            from flowstone.starts where starts.run_id = chosen.lane and starts.number >= chosen.number
            order by starts.number limit 1
        ) as begun where begun.place > 0
        union all
        select 'run.queued', runs.created_at, runs.asset, '', null, runs.request::text, null, null, null, null, null, null,
            null, null, null
        from flowstone.runs where runs.id = chosen.lane and chosen.number = 1
    ) as event on chosen.told is null
    order by chosen.lane_number, chosen.number;
end
$function$;
