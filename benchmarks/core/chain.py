"""A chain: each of 1,000 assets needs the one before, so nothing overlaps and every microsecond shows."""

from __future__ import annotations

import asyncio
from itertools import pairwise

from benchmarks.figure import Figure
from benchmarks.functions import function
from benchmarks.timing import best, by_loop, cpu_seconds
from flowstone import Pipeline, Runtime


async def measure(*, quick: bool) -> list[Figure]:
    """µs per step of `materialize_all` on a warm runtime."""
    size, rounds = (100, 2) if quick else (1_000, 9)
    names = [f"s{number}" for number in range(size)]
    pairs = list(pairwise(names))
    steps = {names[0]: function(names[0])}
    steps |= {name: function(name, [before], f"return {before} + 1") for before, name in pairs}

    async def bare() -> int:
        values = {names[0]: await asyncio.create_task(steps[names[0]]())}
        for before, name in pairs:
            values[name] = await asyncio.create_task(steps[name](values[before]))
        return values[names[-1]]

    pipeline = Pipeline("chain")
    for step in steps.values():
        pipeline.asset(step)
    async with Runtime(pipeline) as runtime:
        times = await best(
            rounds, lambda: cpu_seconds(bare()), lambda: cpu_seconds(runtime.materialize_all(names[-1]))
        )
        assert await runtime.load(names[-1]) == await bare() == size
    scale = 1e6 / size
    limit = by_loop(asyncio_=3, uvloop=4.5)
    return [Figure(f"chain of {size:,}", "µs/step", times.ours * scale, times.bare * scale, None, limit, 2)]
