"""Steps that wait: from a decision to the function's first line on another node, and what very many cost a node."""

from __future__ import annotations

import asyncio
import os
import statistics
import time
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import asyncpg

from benchmarks.figure import Figure
from benchmarks.node import pipeline, worker
from benchmarks.postgres import database
from flowstone import Runtime

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

FILL = """
insert into flowstone.runs
    (id, pipeline, asset, request, status, created_at, started_at, owner, total, submitted, parked_at)
select 'parked-' || n, 'nodes', 'approved', '{"kind": "materialize", "asset": "approved"}', 'waiting', now(), now(),
    null, 1, true, now()
from generate_series(1, $1) n
"""
WAITS = """
insert into flowstone.waits (run_id, asset, key, name, kind, attempt, deadline, id, about)
select 'parked-' || n, 'approved', 's:' || n, 'publish', 'approval', 1, now() + make_interval(days => 1, secs => n),
    'id-' || n, '{"message": "?"}'
from generate_series(1, $1) n
"""


async def measure(*, quick: bool) -> list[Figure]:
    """Milliseconds of a wake-up; megabytes and statements a second of a node beside many that wait."""
    rounds, waits, still = (10, 1_000, 2.0) if quick else (200, 100_000, 20.0)
    with database() as url, worker(url) as process:
        async with Runtime(pipeline(), store=url, worker=False) as runtime:
            times = sorted([await wake_up(runtime) for _ in range(rounds)])
            idle, asked = await resting(url, process.pid, still)
            async with connected(url) as connection:
                await connection.execute(FILL, waits)
                await connection.execute(WAITS, waits)
                await connection.execute("analyze")
            full, asked_more = await resting(url, process.pid, still)
    return [
        Figure(
            "a decision to the first line on another node, p50",
            "ms",
            statistics.median(times) * 1e3,
            at_most=20,
        ),
        Figure("the same, p99", "ms", times[int(len(times) * 0.99) - 1] * 1e3),
        Figure(f"memory of a node for {waits:,} waiting steps", "MB", max(0.0, full - idle), at_most=5),
        Figure("transactions a second of an idle node", "", asked),
        Figure(f"the same beside {waits:,} waiting steps", "", asked_more),
    ]


async def wake_up(runtime: Runtime) -> float:
    """Seconds from the call that approves to the first line of the function after it."""
    run = await runtime.submit("approved")
    while not (asked := await runtime.approvals()) or not await runtime.runs(status="waiting"):  # noqa: ASYNC110 - in another process
        await asyncio.sleep(0.01)
    await asyncio.sleep(0.05)
    began = time.time()
    await runtime.approve(asked[0].id, by="benchmark")
    await run.wait()
    return float(await runtime.load("approved")) - began


async def resting(url: str, pid: int, seconds: float) -> tuple[float, float]:
    """Megabytes of the node's memory, and transactions a second of the database, while nothing happens."""
    await asyncio.sleep(2.0)
    async with connected(url) as connection:
        before = await transactions(connection)
        await asyncio.sleep(seconds)
        after = await transactions(connection)
    return memory(pid), (after - before - 1) / seconds


async def transactions(connection: asyncpg.Connection) -> int:
    """How many the database has had."""
    await connection.execute("select pg_stat_clear_snapshot()")
    return int(
        await connection.fetchval(
            "select xact_commit + xact_rollback from pg_stat_database where datname = current_database()"
        )
    )


def memory(pid: int) -> float:
    """Resident megabytes of a process."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[asyncpg.Connection]:
    """A connection of its own."""
    connection = await asyncpg.connect(url)
    try:
        yield connection
    finally:
        await connection.close()
