"""What is asked of the database every second, or to find who waits, reads no parked run.

Some thousand of them show it; with a hundred thousand (`FLOWSTONE_TEST_PARKED`) it is the same.
"""

from __future__ import annotations

import json
import os

import asyncpg

from flowstone.store.postgres.sql import query

PARKED = int(os.environ.get("FLOWSTONE_TEST_PARKED", "5000"))

FILL = f"""
insert into flowstone.runs
    (id, pipeline, asset, request, status, created_at, started_at, owner, total, submitted, parked_at)
select 'parked-' || n, 'sales', 'a', '{{}}', 'waiting', now(), now(), null, 1, true, now()
from generate_series(1, {PARKED}) n;
insert into flowstone.waits (run_id, asset, key, name, kind, attempt, deadline)
select 'parked-' || n, 'a', 'k' || n, 'nap', 'sleep', 1, now() + make_interval(days => 1, secs => n)
from generate_series(1, {PARKED}) n;
insert into flowstone.runs (id, pipeline, asset, request, status, created_at, started_at, owner, total, submitted)
select 'live-' || n, 'sales', 'a', '{{}}', 'running', now(), now(), 'node-' || n % 3, 1, true
from generate_series(1, 30) n;
"""

ASKED = {
    # Every second, by every node, or whenever something may have happened.
    "beats": "(array['sales'])",
    "orphans": "(array['sales'], array['node-1'], 100, 0, 100)",
    "owned": "('node-1')",
    "cancelling": "('node-1')",
    "nodes": "(true)",
    "take": "('node-1', array['sales'], 10, array[]::text[])",
    "queued": "(array['sales'], 10)",
    "left_behind": "(array['node-1'])",
    # By the keeper of deadlines, and for one run or step.
    "next_deadline": "",
    "due_waits": "(500)",
    "woken": "('parked-1', 0)",
    "wait_answers": "('parked-1', 'a', 'k1')",
    "step_waits": "('a', 'k1')",
    "any_waits": "",
    "take_one": "('node-1', 'parked-1')",
}


def rows_read(plan):
    """How many rows a plan took from tables and indexes, those included that it threw away."""
    here = 0
    if "Relation Name" in plan and "Actual Rows" in plan:
        dropped = plan.get("Rows Removed by Filter", 0) + plan.get("Rows Removed by Index Recheck", 0)
        here = (plan["Actual Rows"] + dropped) * plan["Actual Loops"]
    return here + sum(rows_read(part) for part in plan.get("Plans", ()))


async def test_nothing_that_is_asked_again_and_again_reads_parked_runs(database):
    """However many there are, each statement reads a bounded number of rows; with plans that are made once."""
    connection = await asyncpg.connect(database, command_timeout=300)
    await connection.execute(FILL)
    await connection.execute("analyze")
    await connection.execute("set plan_cache_mode = force_generic_plan")
    read = {}
    for name, arguments in ASKED.items():
        await connection.execute(f"prepare {name}_plan as {query(name)}")
        explain = f"explain (analyze, format json, timing off) execute {name}_plan{arguments}"
        async with connection.transaction():
            (row,) = await connection.fetch(explain)
        read[name] = rows_read(json.loads(row[0])[0]["Plan"])
    await connection.close()
    assert {name: rows for name, rows in read.items() if rows > 100} == {}
