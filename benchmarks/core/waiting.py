"""1,000 assets that each await 50 ms: what overlaps ends together, whatever runs it."""

from __future__ import annotations

import asyncio

from benchmarks.figure import Figure
from benchmarks.functions import function
from benchmarks.timing import best, seconds
from flowstone import Pipeline, Runtime


async def measure(*, quick: bool) -> list[Figure]:
    """Milliseconds for all of them and the asset that gathers them."""
    size, rounds = (100, 2) if quick else (1_000, 7)
    names = [f"wait{number}" for number in range(size)]
    waits = [function(name, body="import asyncio; await asyncio.sleep(0.05); return 1") for name in names]
    sink = function("sink", names, f"return sum(({', '.join(names)},))")

    async def bare() -> int:
        tasks = {name: asyncio.create_task(wait()) for name, wait in zip(names, waits, strict=True)}
        values = {name: await task for name, task in tasks.items()}
        return await asyncio.create_task(sink(*values.values()))

    pipeline = Pipeline("waiting")
    for step in (*waits, sink):
        pipeline.asset(step)
    async with Runtime(pipeline, max_concurrency=size) as runtime:
        times = await best(rounds, lambda: seconds(bare()), lambda: seconds(runtime.materialize_all("sink")))
        assert await runtime.load("sink") == size
    return [Figure(f"{size:,} assets that await 50 ms", "ms", times.ours * 1e3, times.bare * 1e3, 65)]
