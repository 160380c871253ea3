"""No hot statement reads a big table from end to end, with plans that are made once.

So many steps are enough to make reading them all the dearer plan; `.ci/run` tries a million of them
(`FLOWSTONE_TEST_STEPS`).
"""

from __future__ import annotations

import asyncio
import json
import os

import asyncpg
import pytest

from flowstone.store.deliveries import OF_ONE_LANE
from flowstone.store.postgres import PostgresStore
from flowstone.store.postgres.sql import query
from tests.postgres import fresh_database

STEPS = int(os.environ.get("FLOWSTONE_TEST_STEPS", "200000"))
RUNS = STEPS // 20
BIG = {
    "runs",
    "events",
    "starts",
    "materializations",
    "current",
    "inputs",
    "payloads",
    "waits",
    "items",
    "item_sets",
    "pool_claims",
    "outbox",
    "audit",
    "callers",
    "feed",
}

FILL = f"""
insert into flowstone.runs
    (id, pipeline, asset, request, status, created_at, owner, total, submitted, key, finish_order)
select 'run-' || lpad(n::text, 6, '0'), 'sales', 'a' || n % 10,
    case when n % 3 = 0 then json_build_object('tags', json_build_object('team', n % 5))
        when n % 50 = 1 then json_build_object('beside', json_build_object('b' || n % 100, 'same')) else '{{}}' end,
    case when n < {RUNS - 100} then 'succeeded' else 'running' end, now(), 'node-' || n % 3, 20, true, 'key-' || n,
    case when n < {RUNS - 100} then n end
from generate_series(0, {RUNS - 1}) n;
insert into flowstone.materializations
    (run_id, asset, key, number, status, attempt, finished_at, io, arrival)
select 'run-' || lpad((n / 20)::text, 6, '0'), 'a' || n % 10, 'd:' || n / 10, n % 20 + 2,
    case when n % 1000 = 0 then 'failed' else 'succeeded' end, 1, now(), 'default', n
from generate_series(0, {STEPS - 1}) n;
insert into flowstone.current (asset, key, run_id, arrival)
select asset, key, run_id, arrival from flowstone.materializations;
insert into flowstone.events (run_id, number, kind, at, asset, key, attempt)
select run_id, number + 100, 'step.started', now(), asset, key, 1 from flowstone.materializations;
insert into flowstone.starts (run_id, number, at, asset, key)
select run_id, 1000, array_agg(now()), array_agg(asset), array_agg(key)
from flowstone.materializations group by run_id;
insert into flowstone.inputs (asset, key, consumer, consumer_key, run_id)
select asset, key, 'x' || asset, key, run_id from flowstone.materializations;
insert into flowstone.payloads (location, content)
select 'a/' || n, '' from generate_series(0, 99999) n;
insert into flowstone.followers (pipeline, name, kinds)
select 'sales', 'f' || n, '{{run.failed}}' from generate_series(1, 3) n;
insert into flowstone.outbox (follower, lane, number, lane_number)
select n % 3 + 1, 'run-' || lpad((n / 100 % {RUNS})::text, 6, '0'), n, n / 100 from generate_series(0, 99999) n;
insert into flowstone.waits (run_id, asset, key, name, kind, attempt, deadline, status)
select run_id, asset, key, 'nap', case when number % 2 = 0 then 'sleep' else 'approval' end, 1,
    now() + make_interval(secs => arrival), case when arrival % 1000 = 0 then 'open' else 'answered' end
from flowstone.materializations;
insert into flowstone.item_sets (run_id, asset, key, io)
select 'run-' || lpad((n / 20)::text, 6, '0'), 'a' || n % 10, 'd:' || n / 10, null from generate_series(0, 19999) n;
insert into flowstone.items (set_id, position, status, attempt, location)
select 1 + n / 10, n % 10, 1, 1, 'a/' || n from generate_series(0, 199999) n;
insert into flowstone.superseded (asset, key, kept)
select asset, key, case when arrival % 10000 = 0 then null else 1 end from flowstone.materializations
where arrival % 100 = 0;
insert into flowstone.nodes (id, host, pid, version, pipelines, capacity, lease)
select 'node-' || n, 'h', 1, '1', '{{sales}}', 8, 15.0 from generate_series(0, 2) n;
insert into flowstone.pools (name, defined) select 'pool-' || n, 100 from generate_series(0, 9) n;
insert into flowstone.pool_claims (node, claim, pool, slots, alone, priority, arrival, granted, run_id, step)
select 'node-' || n % 3, n, 'pool-' || n % 10, 1, true, n % 5, n, n < 1000, 'run-' || n, 'a'
from generate_series(0, 99999) n;
insert into flowstone.feed (run_id, first, last)
select 'run-' || lpad((n / 20)::text, 6, '0'), n % 20 + 2, n % 20 + 2 from generate_series(0, 199999) n;
insert into flowstone.audit (action, by, asset, run_id)
select 'run.queued', 'ada', 'a' || n % 10, 'run-' || lpad(n::text, 6, '0') from generate_series(0, 99999) n;
insert into flowstone.callers (run_id, id, node, cancels, gone)
select 'run-' || lpad((n / 10)::text, 6, '0'), 'call-' || n, 'node-' || n % 3, true, n < 99000
from generate_series(0, 99999) n;
"""

STATEMENTS = {
    # Name: how many arguments.
    "run": 1,
    "run_with_key": 1,
    "runs": 2,
    "runs_beginning": 2,
    "runs_by_status": 3,
    "runs_of_asset": 4,
    "runs_tagged": 6,
    "claim": 3,
    "take": 4,
    "events": 3,
    "steps": 3,
    "steps_succeeded": 3,
    "steps_unusual": 4,
    "step": 3,
    "current": 2,
    "history": 4,
    "failures": 2,
    "downstream": 2,
    "invalidate": 5,
    "owned": 1,
    "under_way": 2,
    "orphans": 5,
    "beats": 1,
    "left_behind": 1,
    "cancelling": 1,
    "release": 2,
    "nodes": 1,
    "pool_differences": 1,
    "set_pools": 0,
    "endings": 4,
    "begun": 4,
    "wait": 4,
    "wait_answers": 3,
    "step_waits": 2,
    "any_waits": 0,
    "woken": 2,
    "next_deadline": 0,
    "due_waits": 1,
    "answer_wait": 8,
    "approval": 1,
    "approvals": 4,
    "pending_approvals": 3,
    "open_waits": 2,
    "wait_of_token": 1,
    "epochs": 1,
    "lock_runs": 1,
    "ask_to_cancel": 2,
    "cancel_unstarted": 1,
    "tell_queued": 1,
    "grant": 7,
    "record_items": 13,
    "forget_items": 5,
    "prune_items": 2,
    "unneeded_items": 2,
    "item_states": 5,
    "items": 6,
    "items_ended": 7,
    "expire_waits": 2,
    "wake": 7,
    "unpark": 1,
    "take_one": 2,
    "prune_tokens": 2,
    "prune_waits": 2,
    "prune_callers": 2,
    "wanted_runs": 2,
    "wanted_by": 1,
    "tell_end": 1,
    "payload": 1,
    "large_payload": 1,
    "payload_exists": 1,
    "delete_payload": 1,
    "prune_runs": 2,
    "prune_starts": 2,
    "prune_old_starts": 3,
    "prune_old_events": 3,
    "prune_events": 2,
    "prune_steps": 2,
    "prune_versions": 3,
    "prune_long": 2,
    "followers": 2,
    "followers_waiting": 1,
    "pending_deliveries": 5,
    "delivered": 4,
    "delivery_failed": 5,
    "give_up_delivery": 6,
    "drop_deliveries": 1,
    "feed_top": 0,
    "feed_rows": 2,
    "feed_events": 4,
    "prune_feed": 3,
    "audit": 3,
    "audit_of_asset": 5,
    "audit_of_run": 4,
    "prune_audit": 2,
}


@pytest.fixture(scope="module")
def million(postgres_server, template_database):
    """The URL of a database with very many steps in it."""

    async def fill(dsn: str) -> None:
        connection = await asyncpg.connect(dsn, command_timeout=300)
        indexes = await connection.fetch(
            """select indexdef, indexname from pg_indexes where schemaname = 'flowstone' and indexname not in (
                select conname from pg_constraint where connamespace = 'flowstone'::regnamespace)"""
        )
        for row in indexes:
            await connection.execute(f"drop index flowstone.{row['indexname']}")
        await connection.execute(FILL)
        for row in indexes:
            await connection.execute(row["indexdef"])
        await connection.execute("analyze")
        await connection.close()

    loop = asyncio.new_event_loop()
    database = fresh_database(postgres_server, template_database)
    dsn = loop.run_until_complete(database.__aenter__())
    try:
        loop.run_until_complete(fill(dsn))
        yield dsn
    finally:
        loop.run_until_complete(database.__aexit__(None, None, None))
        loop.close()


def scans(plan) -> set[str]:
    """The tables that a plan reads from end to end."""
    found = {plan["Relation Name"]} if plan["Node Type"] == "Seq Scan" else set()
    for part in plan.get("Plans", ()):
        found |= scans(part)
    return found


@pytest.mark.timeout(240)
async def test_no_hot_statement_scans_a_big_table(million):
    """The generic plan of each statement, which is what a long-lived process ends up with."""
    connection = await asyncpg.connect(million)
    await connection.execute("set plan_cache_mode = force_generic_plan")
    bad = {}
    for name, count in STATEMENTS.items():
        await connection.execute(f"prepare {name}_plan as {query(name)}")
        given = f"({', '.join(['null'] * count)})" if count else ""  # A generic plan does not look at them.
        rows = await connection.fetch(f"explain (format json) execute {name}_plan{given}")
        found = scans(json.loads(rows[0][0])[0]["Plan"]) & BIG
        if found:
            bad[name] = found
    await connection.close()
    assert bad == {}


@pytest.mark.timeout(240)
async def test_recording_looks_at_what_it_records(million):
    """A batch on all those steps touches few blocks; to read them all it would be thousands."""
    from tests.store.facts import begun, end, run, start

    store = PostgresStore(million)
    await store.open()
    await store.create_run(run("run-x"))
    await store.write(begun("run-x"))
    connection = await asyncpg.connect(million)
    before = await blocks(connection)
    await store.write_many([start("a4", f"d:{n}", run_id="run-x") for n in range(10)])
    await store.write_many(
        [end("a4", f"d:{n}", run_id="run-x", inputs=[("a3", f"d:{n}")]) for n in range(10)]
    )
    await store.close()
    after = await blocks(connection)
    await connection.close()
    assert 0 < after - before < 1_000


@pytest.mark.timeout(240)
async def test_a_slot_changes_hands_without_a_look_at_all_who_wait(million):
    """Few blocks are read when 100,000 wait for it; to read them all it would be thousands."""
    connection = await asyncpg.connect(million)
    given = "'node-1', 0, '{pool-1}', '{}', '{1}', '{2000000}', '{pool-1}', '{1}', '{0}', '{run-1}', '{a}'"
    statement = query("exchange_slots")
    for number in range(11, 0, -1):
        statement = statement.replace(f"${number}", given.split(", ")[number - 1])
    await connection.fetch(statement)
    before = await blocks(connection)
    await connection.fetch(statement.replace("{1}", "{31}").replace("2000000", "2000001"))
    after = await blocks(connection)
    await connection.close()
    assert 0 < after - before < 300


async def blocks(connection) -> int:
    """Blocks of our tables that were read so far, from memory or disk."""
    await connection.execute("select pg_stat_force_next_flush()")
    return await connection.fetchval(
        "select sum(heap_blks_read + heap_blks_hit) from pg_statio_user_tables where schemaname = 'flowstone'"
    )


async def test_retention_compares_no_version_with_those_of_other_assets(database):
    """What it reads grows with the versions, not with their square."""
    connection = await asyncpg.connect(database)
    await connection.execute(VERSIONS)
    statement = query("prune_versions").replace("$1", "20").replace("$2", "500").replace("$3", "null")
    rows = await connection.fetch(f"explain (analyze, format json) {statement}")
    await connection.close()
    assert dropped(json.loads(rows[0][0])[0]["Plan"]) < 50_000


async def test_forgetting_the_feed_looks_at_the_oldest_rows(database):
    """However many there are, and with a plan that was made while there was none."""
    connection = await asyncpg.connect(database)
    await connection.execute(
        "set plan_cache_mode = force_generic_plan; alter table flowstone.feed set (autovacuum_enabled = off)"
    )
    await connection.execute("analyze flowstone.feed")
    await connection.execute(f"prepare forget as {query('prune_feed')}; execute forget(3600, 10000, 5000)")
    await connection.execute("insert into flowstone.feed (first) select n from generate_series(1, 30000) n")
    rows = await connection.fetch("explain (analyze, format json) execute forget(3600, 10000, 5000)")
    await connection.execute("update flowstone.feed set at = now() - interval '1 day'")
    many = await connection.fetch("explain (analyze, format json) execute forget(3600, 10000, 5000)")
    left = await connection.fetchval("select count(*) from flowstone.feed")
    await connection.close()
    assert left == 25_001
    assert looked_at(json.loads(rows[0][0])[0]["Plan"]) < 150_000
    assert looked_at(json.loads(many[0][0])[0]["Plan"]) < 150_000


@pytest.mark.parametrize("in_a_lane", [1, 100, 50_000])
async def test_delivering_looks_at_what_it_gives(database, in_a_lane):
    """However much there is, of one lane or of many, and with a plan that was made while there was nothing."""
    connection = await asyncpg.connect(database)
    await connection.execute(
        "set plan_cache_mode = force_generic_plan; alter table flowstone.outbox set (autovacuum_enabled = off)"
    )
    await connection.execute("analyze flowstone.outbox")
    read = query("pending_deliveries"), "sales", "f2", 500, OF_ONE_LANE, ["run-99", "run-98"]
    await connection.fetch(*read)
    await connection.fetch(query("delivered"), "sales", "f2", ["run-1"], [1])
    await connection.execute(PENDING.format(in_a_lane=in_a_lane))
    async with connection.transaction():
        found = await connection.fetch(*read)
        done = [row["lane"] for row in found], [row["number"] for row in found]
        await connection.fetch(query("delivered"), "sales", "f2", *done)
        rows = await connection.fetchval(
            "select sum(seq_tup_read + idx_tup_fetch) from pg_stat_xact_user_tables where schemaname = 'flowstone'"
        )
    left = await connection.fetchval("select count(*) from flowstone.outbox")
    await connection.close()
    assert left == 100_000 - len(found)
    assert len(found) == {1: 500, 100: 500, 50_000: 100}[in_a_lane]
    assert rows < 5_000


PENDING = """
insert into flowstone.followers (pipeline, name, kinds)
select 'sales', 'f' || n, '{{}}' from generate_series(1, 3) n;
insert into flowstone.outbox (follower, lane, number, lane_number)
select (select id from flowstone.followers where name = 'f2'), 'run-' || 100 - n / {in_a_lane}, n, n / {in_a_lane}
from generate_series(0, 99999) n
"""

VERSIONS = """
insert into flowstone.materializations
    (run_id, asset, key, number, status, attempt, finished_at, io, arrival)
select 'run-' || n / 500, 'a', n % 500, n, 'succeeded', 1, now() + make_interval(secs => n), 'default', n
from generate_series(0, 10499) n;
insert into flowstone.superseded (asset, key) select 'a', n from generate_series(0, 499) n;
analyze
"""


def dropped(plan) -> int:
    """Rows that were looked at in vain."""
    here = plan.get("Rows Removed by Filter", 0) * plan["Actual Loops"]
    return here + sum(dropped(part) for part in plan.get("Plans", ()))


def looked_at(plan) -> int:
    """Rows that its parts gave or dropped."""
    given = (
        plan["Actual Rows"]
        + plan.get("Rows Removed by Filter", 0)
        + plan.get("Rows Removed by Join Filter", 0)
    )
    return int(given * plan["Actual Loops"]) + sum(looked_at(part) for part in plan.get("Plans", ()))
