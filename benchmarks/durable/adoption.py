"""kill -9 of the node that drives a run: how long until another node owns it, and until it computes again."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import asyncpg

from benchmarks.figure import Figure
from benchmarks.node import LEASE, hours, pipeline, stopped, until, worker
from benchmarks.postgres import database
from flowstone import Runtime

if TYPE_CHECKING:
    from subprocess import Popen

OWNER = (
    "select nodes.pid from flowstone.runs join flowstone.nodes on nodes.id = runs.owner where runs.id = $1"
)
DONE = "select succeeded from flowstone.runs where id = $1"


async def measure(*, quick: bool) -> list[Figure]:
    """Seconds from the kill; the lease is part of them."""
    kills = 1 if quick else 8
    owned, computed = [], []
    with database() as url:
        async with Runtime(pipeline(), store=url, worker=False) as client:
            connection = await asyncpg.connect(url)
            for _ in range(kills):
                with worker(url) as one, worker(url) as other:
                    first, second = await killed(client, connection, {one.pid: one, other.pid: other})
                owned.append(first)
                computed.append(second)
            await connection.close()
    name = f"adoption after kill -9, lease {LEASE:g} s"
    return [
        Figure(f"{name}: new owner, median of {kills}", "s", sorted(owned)[kills // 2]),
        Figure(f"{name}: new owner, longest of {kills}", "s", max(owned), at_most=LEASE + 1),
        Figure(f"{name}: next step recorded, longest of {kills}", "s", max(computed)),
    ]


async def killed(
    client: Runtime, connection: asyncpg.Connection, nodes: dict[int, Popen[bytes]]
) -> tuple[float, float]:
    """Kill the owner of a backfill; seconds until it has another one, and until that one has recorded a step."""
    run = await client.submit_backfill("sleeping", **hours(20_000), max_parallel=8, refresh="all")

    async def done() -> int:
        return await connection.fetchval(DONE, run.id)

    async def is_driven() -> bool:
        return await done() > 50

    async def is_adopted() -> bool:
        return await connection.fetchval(OWNER, run.id) not in {owner, None}

    async def goes_on() -> bool:
        return await done() > before

    await until(is_driven)
    owner = await connection.fetchval(OWNER, run.id)
    nodes[owner].kill()
    began = time.perf_counter()
    await until(is_adopted)
    adopted = time.perf_counter() - began
    before = await done()
    await until(goes_on)
    computing = time.perf_counter() - began
    await stopped(run)
    return adopted, computing
