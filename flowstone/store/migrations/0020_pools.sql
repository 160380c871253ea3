-- Pools: slots with a name, which steps of all runs on all nodes take while they run.
--
-- Who asks for slots, gives them back or gives them to others holds the locks of the pools concerned, taken in the order
-- of their names: so the number of an arrival is the order of the commits, and what is free is given once. Each statement
-- of a function sees what was committed before it; so the locks are taken first, in a statement of their own.

alter table flowstone.nodes add column fence integer not null default 0;
comment on column flowstone.nodes.fence is 'How often its claims were taken from it because it was gone; it asks under the number it knows.';

create sequence flowstone.pool_arrivals;
comment on sequence flowstone.pool_arrivals is 'The order in which slots of pools were asked for.';

create table flowstone.pools (
    name       text collate "C" primary key,
    defined    integer not null,
    set_slots  integer
);
comment on table flowstone.pools is 'One row a pool; its lock is held by whoever changes a claim to it.';
comment on column flowstone.pools.defined is 'Its slots as nodes define it, the smallest number; as the last one did, where there is none.';
comment on column flowstone.pools.set_slots is 'Its slots as somebody set them at run time; null: as defined.';

create table flowstone.pool_definitions (
    node   text collate "C" not null references flowstone.nodes on delete cascade,
    pool   text collate "C" not null,
    slots  integer not null,
    primary key (node, pool)
);
comment on table flowstone.pool_definitions is 'The pools of each node that has not gone, as its pipelines define them.';

create index pool_definitions_pool on flowstone.pool_definitions (pool, slots);

create table flowstone.pool_claims (
    node      text collate "C" not null references flowstone.nodes on delete cascade,
    claim     bigint not null,
    pool      text collate "C" not null,
    slots     integer not null,
    alone     boolean not null,
    priority  integer not null,
    arrival   bigint not null,
    granted   boolean not null default false,
    known     boolean not null default false,
    run_id    text collate "C" not null,
    step      text not null,
    primary key (node, claim, pool)
) with (fillfactor = 50);
comment on table flowstone.pool_claims is 'Who holds slots and who waits for them: a row for each pool of each claim.';
comment on column flowstone.pool_claims.claim is 'Its number at its node.';
comment on column flowstone.pool_claims.alone is 'Whether it asks for slots of no other pool.';
comment on column flowstone.pool_claims.arrival is 'Its place among those of its priority; the same in all of its pools.';
comment on column flowstone.pool_claims.known is 'Whether its node has said that it knows that it is granted.';
comment on column flowstone.pool_claims.step is 'Who asks, as people know it.';

create index pool_claims_waiting on flowstone.pool_claims (pool, priority desc, arrival) where not granted;
create index pool_claims_granted on flowstone.pool_claims (pool) include (slots) where granted;
create index pool_claims_unknown on flowstone.pool_claims (node) where granted and not known;

-- Give what is free of these pools, which the caller has locked, to those whose turn it is, and tell their nodes. Of the
-- caller's node only what it cannot be told at once. Whoever asks for more than there is now is passed over.

create function flowstone.grant_slots(
    locked text[],
    caller text
) returns void
language plpgsql
set enable_seqscan = off
set jit = off
set plan_cache_mode = force_generic_plan
as $function$
#variable_conflict use_column
declare
    here record;
    head record;
    free bigint;
    given text[];
    told text[] := '{}';
    missing text[];
    again boolean := true;
begin
    while again loop
        again := false;
        for here in
            select pools.name, coalesce(pools.set_slots, pools.defined) as slots
            from flowstone.pools where pools.name = any(locked) order by pools.name
        loop
            loop
                select here.slots - coalesce(sum(held.slots), 0) into free
                from flowstone.pool_claims as held where held.pool = here.name and held.granted;
                exit when free <= 0;

                -- All at the head of the line that ask for no other pool, as far as the slots go.
                with line as materialized (
                    select first.node, first.claim, sum(first.slots) over places as upto,
                        bool_and(first.alone) over places as simple
                    from (
                        select waiting.* from flowstone.pool_claims as waiting
                        where waiting.pool = here.name and not waiting.granted and waiting.slots <= here.slots
                            and (waiting.alone or not flowstone.asks_too_much(waiting.node, waiting.claim))
                        order by waiting.priority desc, waiting.arrival limit free
                    ) as first
                    window places as (order by first.priority desc, first.arrival)
                ), served as (
                    update flowstone.pool_claims as taken set granted = true
                    from line
                    where taken.node = line.node and taken.claim = line.claim and taken.pool = here.name
                        and line.simple and line.upto <= free
                    returning taken.node
                )
                select array_agg(distinct served.node) into given from served;
                if given is not null then
                    told := told || given;
                    continue;
                end if;

                select waiting.* into head from flowstone.pool_claims as waiting
                where waiting.pool = here.name and not waiting.granted and waiting.slots <= here.slots
                    and (waiting.alone or not flowstone.asks_too_much(waiting.node, waiting.claim))
                order by waiting.priority desc, waiting.arrival limit 1;
                exit when not found or head.alone;

                -- It asks for several pools, and gets all or nothing. Those that are not locked yet are locked if they
                -- are free; to wait for them would be out of order. If they are not, its node does it, in order.
                select array_agg(other.pool) into missing from flowstone.pool_claims as other
                where other.node = head.node and other.claim = head.claim and not other.pool = any(locked);
                if missing is not null then
                    perform 1 from (
                        select from flowstone.pools where pools.name = any(missing) order by pools.name
                        for no key update skip locked
                    ) as also having count(*) = cardinality(missing);
                    if not found then
                        perform pg_notify('flowstone', 'pool:' || head.node);
                        exit;
                    end if;
                    locked := locked || missing;
                    again := true;
                end if;
                exit when exists (
                    select from flowstone.pool_claims as other
                        join flowstone.pools as there on there.name = other.pool
                    where other.node = head.node and other.claim = head.claim and (
                        other.slots > coalesce(there.set_slots, there.defined) - (
                            select coalesce(sum(held.slots), 0) from flowstone.pool_claims as held
                            where held.pool = other.pool and held.granted)
                        or exists (
                            select from flowstone.pool_claims as before
                            where before.pool = other.pool and not before.granted
                                and before.slots <= coalesce(there.set_slots, there.defined)
                                and (before.priority > other.priority
                                    or (before.priority = other.priority and before.arrival < other.arrival))
                                and (before.alone or not flowstone.asks_too_much(before.node, before.claim))))
                );
                update flowstone.pool_claims as taken set granted = true
                where taken.node = head.node and taken.claim = head.claim;
                told := told || head.node;
                again := true;
            end loop;
        end loop;
    end loop;
    perform pg_notify('flowstone', 'pool:' || each.node)
    from (select distinct node from unnest(told) as node where node <> caller) as each;
end
$function$;

create function flowstone.asks_too_much(
    node_id text,
    number bigint
) returns boolean
language sql stable
as $function$
    select exists (
        select from flowstone.pool_claims as asked join flowstone.pools as there on there.name = asked.pool
        where asked.node = node_id and asked.claim = number and asked.slots > coalesce(there.set_slots, there.defined))
$function$;

-- What a node has to say of its claims, and what it has got since: first a row with its fence, then one for each claim
-- that it does not know to be granted. If its fence is another one, nothing is done: what it held is gone. No row: it
-- is no node. It may be said again, if the answer was lost.

create function flowstone.exchange_slots(
    node_id text,
    node_fence integer,
    locked text[],           -- the pools of all that follows, and those to be looked at
    known_claim bigint[],    -- known to be granted
    gone_claim bigint[],     -- given back, or not wanted any more
    asked_claim bigint[],    -- a row for each pool
    asked_pool text[],
    asked_slots integer[],
    asked_priority integer[],
    asked_run text[],
    asked_step text[]
) returns table (fence integer, claim bigint)
language plpgsql
set enable_seqscan = off
set jit = off
set plan_cache_mode = force_generic_plan
as $function$
#variable_conflict use_column
declare
    here integer;
begin
    select nodes.fence into here from flowstone.nodes where nodes.id = node_id for key share;
    if here is distinct from node_fence then
        return query select here, null::bigint where here is not null;
        return;
    end if;
    perform 1 from flowstone.pools where pools.name = any(locked) order by pools.name for no key update;
    delete from flowstone.pool_claims as gone where gone.node = node_id and gone.claim = any(gone_claim);
    update flowstone.pool_claims as held set known = true
    where held.node = node_id and held.claim = any(known_claim) and not held.known;
    with asked as materialized (
        select given.* from unnest(asked_claim, asked_pool, asked_slots, asked_priority, asked_run, asked_step)
            as given(claim, pool, slots, priority, run_id, step)
    ), arrived as materialized (
        select each.claim, each.pools, nextval('flowstone.pool_arrivals') as arrival
        from (select asked.claim, count(*) as pools from asked group by asked.claim order by asked.claim) as each
    )
    insert into flowstone.pool_claims (node, claim, pool, slots, alone, priority, arrival, run_id, step)
    select node_id, asked.claim, asked.pool, asked.slots, arrived.pools = 1, asked.priority, arrived.arrival,
        asked.run_id, asked.step
    from asked join arrived on arrived.claim = asked.claim order by asked.claim, asked.pool collate "C"
    on conflict do nothing;
    perform flowstone.grant_slots(locked, node_id);
    return query
        select here, null::bigint
        union all
        (select distinct here, held.claim from flowstone.pool_claims as held
            where held.node = node_id and held.granted and not held.known);
end
$function$;

-- Have a node define these pools and no others; its fence, or nothing if it is no node.

create function flowstone.define_pools(
    node_id text,
    given_pool text[],
    given_slots integer[]
) returns table (fence integer)
language plpgsql
set enable_seqscan = off
set jit = off
as $function$
#variable_conflict use_column
declare
    here integer;
    concerned text[];
begin
    select nodes.fence into here from flowstone.nodes where nodes.id = node_id for key share;
    if here is null then
        return;
    end if;
    insert into flowstone.pools (name, defined)
    select given.name, given.slots from unnest(given_pool, given_slots) as given(name, slots)
    order by given.name collate "C"
    on conflict do nothing;
    concerned := given_pool || array(
        select mine.pool from flowstone.pool_definitions as mine where mine.node = node_id);
    perform 1 from flowstone.pools where pools.name = any(concerned) order by pools.name for no key update;
    delete from flowstone.pool_definitions as mine where mine.node = node_id and not mine.pool = any(given_pool);
    insert into flowstone.pool_definitions (node, pool, slots)
    select node_id, given.name, given.slots from unnest(given_pool, given_slots) as given(name, slots)
    on conflict (node, pool) do update set slots = excluded.slots;
    perform flowstone.redefine_pools(concerned);
    perform flowstone.grant_slots(concerned, '');
    return query select here;
end
$function$;

create function flowstone.redefine_pools(
    concerned text[]
) returns void
language sql
as $function$
    update flowstone.pools set defined = least.slots
    from (
        select known.pool, min(known.slots) as slots from flowstone.pool_definitions as known
        where known.pool = any(concerned) group by known.pool
    ) as least
    where pools.name = least.pool and pools.defined <> least.slots
$function$;

-- A node has gone: what it held is free, what it waited for is not wanted, and what it defined does not count.

create function flowstone.forget_claims(
    node_id text
) returns void
language plpgsql
set enable_seqscan = off
set jit = off
as $function$
declare
    concerned text[];
begin
    -- Nothing of it can be under way from here on: it asks under a lock on this row.
    perform 1 from flowstone.nodes where nodes.id = node_id for update;
    concerned := array(
        select held.pool from flowstone.pool_claims as held where held.node = node_id
        union
        select mine.pool from flowstone.pool_definitions as mine where mine.node = node_id);
    if cardinality(concerned) = 0 then
        return;
    end if;
    update flowstone.nodes set fence = nodes.fence + 1 where nodes.id = node_id;
    perform 1 from flowstone.pools where pools.name = any(concerned) order by pools.name for no key update;
    delete from flowstone.pool_claims as held where held.node = node_id;
    delete from flowstone.pool_definitions as mine where mine.node = node_id;
    perform flowstone.redefine_pools(concerned);
    perform flowstone.grant_slots(concerned, '');
end
$function$;

-- Give a pool another number of slots; null: as many as are defined.

create function flowstone.set_pool(
    given_pool text,
    given_defined integer,
    given_slots integer
) returns void
language plpgsql
set enable_seqscan = off
set jit = off
as $function$
begin
    insert into flowstone.pools (name, defined) values (given_pool, given_defined) on conflict do nothing;
    perform 1 from flowstone.pools where pools.name = given_pool for no key update;
    update flowstone.pools set set_slots = given_slots where pools.name = given_pool;
    perform flowstone.grant_slots(array[given_pool], '');
end
$function$;
