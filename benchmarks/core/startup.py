"""A runtime from nothing to a first value and back to nothing, as a script or a test does it."""

from __future__ import annotations

import asyncio

from benchmarks.figure import Figure
from benchmarks.functions import function
from benchmarks.timing import best, seconds
from flowstone import Pipeline, Runtime

ANSWER = function("answer")


async def measure(*, quick: bool) -> list[Figure]:
    """Milliseconds to enter a `Runtime`, materialize one asset and leave."""
    pipeline = Pipeline("startup")
    pipeline.asset(ANSWER)

    async def bare() -> None:
        await asyncio.create_task(ANSWER())

    async def ours() -> None:
        async with Runtime(pipeline) as runtime:
            await runtime.materialize("answer")

    times = await best(3 if quick else 25, lambda: seconds(bare()), lambda: seconds(ours()))
    return [Figure("start a runtime, one materialize(), stop", "ms", times.ours * 1e3, times.bare * 1e3)]
