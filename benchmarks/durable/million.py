"""A backfill of 1,000,000 hourly partitions on Postgres: what its plan and its first steps take of memory."""

from __future__ import annotations

import gc
import time
from datetime import timedelta

import asyncpg

from benchmarks.core.memory import resident
from benchmarks.core.partitions import FIRST
from benchmarks.figure import Figure
from benchmarks.functions import function
from benchmarks.node import stopped, until
from benchmarks.postgres import database
from flowstone import HourlyPartitions, Pipeline, Runtime

DONE = "select succeeded from flowstone.runs where id = $1"


async def measure(*, quick: bool) -> list[Figure]:
    """Megabytes over the idle runtime; the growth from the half to the whole of the first steps tells the trend."""
    size, first = (10_000, 1_000) if quick else (1_000_000, 20_000)
    pipeline = Pipeline("million")
    pipeline.asset(function("raw"), partitions=HourlyPartitions(FIRST, FIRST + timedelta(hours=size - 1)))
    held = []
    with database() as url:
        connection = await asyncpg.connect(url)
        async with Runtime(pipeline, store=url) as runtime:
            await runtime.backfill("raw", start=FIRST, end=FIRST, refresh="all")
            gc.collect()
            idle = resident()
            began = time.perf_counter()
            run = await runtime.submit_backfill("raw", max_parallel=64)
            taken = time.perf_counter() - began
            for enough in (first // 20, first // 2, first):

                async def are_done(enough: int = enough) -> bool:
                    return await connection.fetchval(DONE, run.id) >= enough

                await until(are_done)
                held.append(resident() - idle)
            await stopped(run)
        await connection.close()
    return [
        Figure(f"submit_backfill() of {size:,} partitions", "ms", taken * 1e3),
        Figure(f"memory over idle after {first:,} steps of it", "MB", held[2], at_most=50),
        Figure(f"of which it grew in the last {first // 2:,} steps", "MB", held[2] - held[1]),
    ]
