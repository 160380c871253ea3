"""Three daily assets over a year, four steps at a time, from an empty store each round."""

from __future__ import annotations

import asyncio
from datetime import date, timedelta

from benchmarks.figure import Figure
from benchmarks.functions import function
from benchmarks.timing import best, by_loop, cpu_seconds
from flowstone import DailyPartitions, Pipeline, Runtime

RAW = function("raw")
CLEAN = function("clean", ["raw"], "return raw + 1")
REPORT = function("report", ["clean"], "return clean + 1")
PARALLEL = 4


async def bare(days: list[date]) -> int:
    """The same by hand: a task per step, results in a dict, four days at a time."""
    values: dict[tuple[str, date], int] = {}
    limit = asyncio.Semaphore(PARALLEL)

    async def one(day: date) -> None:
        async with limit:
            values["raw", day] = await asyncio.create_task(RAW())
            values["clean", day] = await asyncio.create_task(CLEAN(values["raw", day]))
            values["report", day] = await asyncio.create_task(REPORT(values["clean", day]))

    await asyncio.gather(*(one(day) for day in days))
    return len(values)


async def measure(*, quick: bool) -> list[Figure]:
    """µs per step of `backfill(upstream=True, max_parallel=4)`."""
    size, rounds = (30, 2) if quick else (365, 9)
    days = [date(2025, 1, 1) + timedelta(number) for number in range(size)]
    partitions = DailyPartitions(days[0], days[-1])
    pipeline = Pipeline("backfill")
    for step in (RAW, CLEAN, REPORT):
        pipeline.asset(step, partitions=partitions)

    async def ours() -> float:
        async with Runtime(pipeline) as runtime:
            taken = await cpu_seconds(runtime.backfill("report", upstream=True, max_parallel=PARALLEL))
            assert await runtime.load("report", partition=days[-1]) == 3
            return taken

    times = await best(rounds, lambda: cpu_seconds(bare(days)), ours)
    scale = 1e6 / (3 * size)
    name = f"backfill 3 assets × {size} days, {PARALLEL} at a time"
    return [
        Figure(
            name, "µs/step", times.ours * scale, times.bare * scale, None, by_loop(asyncio_=3, uvloop=4), 2
        )
    ]
