"""Forgetting costs what is forgotten, also where a database has grown since a plan, or its statistics."""

from __future__ import annotations

import json

import asyncpg
import pytest

from flowstone.store.postgres.sql import query
from tests.store.postgres.test_query_plans import looked_at

ROWS = 20_000
RUNS = [f"run-{number:06}" for number in range(20)]
FIRSTS = [100] * len(RUNS)

# Of each of 1,000 partitions 20 values; a tenth of the runs has steps in each of them, and all else that runs have.
FILL = f"""
set session_replication_role = replica;
insert into flowstone.runs
    (id, pipeline, asset, request, status, created_at, finish_order, first_event, last_event, long)
select 'run-' || lpad(n::text, 6, '0'), 'sales', 'a', '{{}}', 'succeeded', now(), n, 1, 100, n % 10 = 0
from generate_series(0, {ROWS} / 10 - 1) n;
insert into flowstone.materializations
    (run_id, asset, key, number, status, attempt, finished_at, io, arrival, location)
select 'run-' || lpad((n / 10)::text, 6, '0'), 'a' || n % 10, 'd:' || n / 10 % {ROWS // 200}, n, 'succeeded',
    1, now(), 'default', n, 'a/' || n
from generate_series(0, {ROWS} - 1) n;
insert into flowstone.superseded (asset, key) select distinct asset, key from flowstone.materializations;
insert into flowstone.current (asset, key, run_id, arrival)
select distinct on (asset, key) asset, key, run_id, arrival
from flowstone.materializations order by asset, key, arrival desc;
insert into flowstone.inputs (asset, key, consumer, consumer_key, run_id)
select 'raw', key, asset, key, run_id from flowstone.materializations;
insert into flowstone.payloads (location, content) select location, '' from flowstone.materializations;
insert into flowstone.events (run_id, number, kind, at, asset, key, attempt)
select run_id, arrival % 10 + 2, 'step.retried', now(), asset, key, 1 from flowstone.materializations;
insert into flowstone.starts (run_id, number, at, asset, key)
select run_id, 20 + arrival % 10, array[now()], array[asset], array[key] from flowstone.materializations;
insert into flowstone.waits (run_id, asset, key, name, kind, attempt, status)
select run_id, asset, key, 'nap', 'sleep', 1, 'answered' from flowstone.materializations;
insert into flowstone.tokens (hash, run_id, asset, key, name)
select location, run_id, asset, key, 'nap' from flowstone.materializations;
insert into flowstone.callers (run_id, id, node, cancels, gone)
select run_id, 'call-' || arrival, 'node', true, true from flowstone.materializations;
insert into flowstone.item_sets (run_id, asset, key, io)
select run_id, asset, key, null from flowstone.materializations;
insert into flowstone.items (set_id, position, status, attempt, location)
select id, 1, 1, 1, 'i/' || id from flowstone.item_sets;
insert into flowstone.step_leases (run_id, asset, key, attempt, epoch, node)
select run_id, asset, key, 1, 0, 'n' from flowstone.materializations;
insert into flowstone.followers (pipeline, name, kinds)
select 'sales', 'f' || n, '{{}}' from generate_series(1, 3) n;
insert into flowstone.outbox (follower, lane, number, lane_number)
select followers.id, 'run-' || lpad((n / 10)::text, 6, '0'), n, n / 10
from flowstone.followers, generate_series({ROWS} / 2, {ROWS} - 1) n;
insert into flowstone.log_heads (run_id, last) select 'gone-' || n, 1 from generate_series(0, {ROWS} / 10 - 1) n;
"""

# What is given to each, and how many rows it may look at: of retention, of who is gone, and of what was delivered.
STATEMENTS = {
    "prune_runs": ("100, 20", 1_000),
    "prune_long": ("1000, 20", 1_000),
    "prune_feed": ("3600, 10000, 5000", 1_000),
    "prune_log": ("1, 5000", 1_000),
    "prune_log_heads": ("", 10_000),  # A thousand of them.
    "prune_logs": ("5000", 1_000),
    "prune_nodes": ("", 1_000),
    "prune_starts": ("{RUNS}, 5000", 2_000),
    "prune_events": ("{RUNS}, 5000", 2_000),
    "prune_tokens": ("{RUNS}, 5000", 2_000),
    "prune_waits": ("{RUNS}, 5000", 2_000),
    "prune_callers": ("{RUNS}, 5000", 2_000),
    "prune_steps": ("{RUNS}, 5000", 3_000),
    "prune_items": ("{RUNS}, 5000", 2_000),
    "prune_leases": ("{RUNS}", 2_000),
    "prune_old_starts": ("{RUNS}, {FIRSTS}, 5000", 3_000),
    "prune_old_events": ("{RUNS}, {FIRSTS}, 5000", 3_000),
    "prune_versions": ("2, 500, null", 500_000),  # 9,000 values go, of 500 partitions.
    "delete_runs": ("{RUNS}", 1_000),
    "not_long": ("{RUNS}", 1_000),
    "unneeded_items": ("'{{a1, a2}}', 100", 1_000),
    "drop_deliveries": ("5000", 1_000),
}


@pytest.mark.parametrize("planned", ["without statistics", "while it was empty"])
async def test_forgetting_looks_at_what_it_takes(database, planned):
    """A plan that compares all with all takes half a minute for 9,000 values, and there are more each time."""
    connection = await asyncpg.connect(database, command_timeout=300)
    tables = await connection.fetch("select tablename from pg_tables where schemaname = 'flowstone'")
    for (name,) in tables:
        await connection.execute(f"alter table flowstone.{name} set (autovacuum_enabled = off)")
    if planned == "while it was empty":
        await connection.execute("set plan_cache_mode = force_generic_plan; analyze")
    for name in STATEMENTS:
        await connection.execute(f"prepare {name}_p as {query(name)}")
        await explained(connection, name)
    await connection.execute(FILL)
    seen = {name: looked_at(await explained(connection, name, "analyze, ")) for name in STATEMENTS}
    await connection.close()
    assert {name: rows for name, rows in seen.items() if rows > STATEMENTS[name][1]} == {}


async def explained(connection, name, analyze=""):
    """The plan of a statement as retention has it; what it does is undone."""
    given = STATEMENTS[name][0].format(RUNS=array(RUNS), FIRSTS=array(FIRSTS))
    transaction = connection.transaction()
    await transaction.start()
    await connection.execute(query("by_index"))
    call = f"execute {name}_p({given})" if given else f"execute {name}_p"
    rows = await connection.fetch(f"explain ({analyze}format json) {call}")
    await transaction.rollback()
    return json.loads(rows[0][0])[0]["Plan"]


def array(items):
    """As SQL has it."""
    return "'{" + ",".join(map(str, items)) + "}'"
