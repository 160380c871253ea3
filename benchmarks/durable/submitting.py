"""From `submit()` in this process to the first line of the asset in another one: idle, and while it works."""

from __future__ import annotations

import asyncio
import gc
import time
from statistics import quantiles

from benchmarks.figure import Figure
from benchmarks.node import hours, pipeline, stopped, worker
from benchmarks.postgres import database
from flowstone import Runtime


async def measure(*, quick: bool) -> list[Figure]:
    """p50 and p99 in ms: the time the asset gives as its value less the time before the call; one clock."""
    count, pause = (10, 0.0) if quick else (300, 0.02)
    figures = []
    with database() as url, worker(url):
        async with Runtime(pipeline(), store=url, worker=False) as client:
            for what in ("idle", "busy"):
                if what == "busy":
                    background = await client.submit_backfill(
                        "sleeping", **hours(2_000 if quick else 20_000), max_parallel=8, refresh="all"
                    )
                taken = await submitted(client, count, pause)
                marks = quantiles(taken, n=100)
                figures += [
                    Figure(f"submit() to start in another process, {what}, p50", "ms", marks[49], at_most=10),
                    Figure(f"submit() to start in another process, {what}, p99", "ms", marks[98]),
                ]
            await stopped(background)
    return figures


async def submitted(client: Runtime, count: int, pause: float) -> list[float]:
    """Milliseconds of each of so many, one after the other."""
    taken = []
    gc.collect()
    for _ in range(count):
        await asyncio.sleep(pause)
        began = time.time()
        run = await client.submit("stamp")
        await run.wait()
        taken.append((await client.load("stamp") - began) * 1e3)
    return taken
