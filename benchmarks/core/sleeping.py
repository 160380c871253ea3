"""1,000 steps that each wait a millisecond for something, 64 at a time: what steps do that call a service."""

from __future__ import annotations

import asyncio

from benchmarks.figure import Figure
from benchmarks.functions import function
from benchmarks.timing import best, seconds
from flowstone import Pipeline, Runtime, StaticPartitions

AT_A_TIME = 64


async def measure(*, quick: bool) -> list[Figure]:
    """Milliseconds for all of them, on a warm runtime."""
    size, rounds = (100, 2) if quick else (1_000, 9)
    keys = [f"k{number}" for number in range(size)]
    sleep = function("asleep", body="import asyncio; await asyncio.sleep(0.001); return 1")

    async def bare() -> dict[str, int]:
        values: dict[str, int] = {}
        room = asyncio.Semaphore(AT_A_TIME)

        async def one(key: str) -> None:
            async with room:
                values[key] = await asyncio.create_task(sleep())

        async with asyncio.TaskGroup() as group:
            for key in keys:
                group.create_task(one(key))
        return values

    async def ours() -> object:
        return await runtime.backfill("asleep", max_parallel=AT_A_TIME, refresh="all")

    pipeline = Pipeline("sleeping")
    pipeline.asset(sleep, partitions=StaticPartitions(keys))
    async with Runtime(pipeline) as runtime:
        times = await best(rounds, lambda: seconds(bare()), lambda: seconds(ours()))
        assert await runtime.load("asleep", partition=keys[-1]) == 1
    name = f"{size:,} steps that wait 1 ms, {AT_A_TIME} at a time"
    return [Figure(name, "ms", times.ours * 1e3, times.bare * 1e3, ratio_at_most=2)]
