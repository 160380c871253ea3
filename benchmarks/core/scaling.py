"""What a step costs in a large run, pipeline or audience, and in a small one: the curve should be flat.

In these rows *bare* is FlowStone itself at the small end, in the same process.
"""

from __future__ import annotations

import gc
from contextlib import AsyncExitStack

from benchmarks.figure import Figure
from benchmarks.functions import function
from benchmarks.timing import best, cpu_seconds
from flowstone import HourlyPartitions, Pipeline, Runtime, StaticPartitions

FLAT = 1.5
STEP = function("step")
WIDTH = 10
"""Assets that need the same one: chains side by side, so that neither depth nor width is all there is."""


async def measure(*, quick: bool) -> list[Figure]:
    """µs per step at either end."""
    few, assets, steps = (100, 1_000, 10_000) if quick else (1_000, 50_000, 1_000_000)
    audience = 10 if quick else 100
    return [
        figure(f"{assets:,} assets beside {few:,}", await of_assets(few), await of_assets(assets)),
        figure(f"{steps:,} steps beside {few:,}", await of_steps(few), await of_steps(steps)),
        figure(f"{audience} subscribers beside one", *await of_subscribers(few, 1, audience)),
        figure(f"{audience} subscribers beside none", *await of_subscribers(few, 0, audience)),
    ]


def figure(name: str, small: float, large: float) -> Figure:
    """Seconds per step as a row."""
    return Figure(name, "µs/step", large * 1e6, small * 1e6, None, FLAT)


async def of_assets(count: int) -> float:
    """Seconds per step of the second run of a pipeline of so many assets."""
    pipeline = Pipeline("assets")
    pipeline.asset(function("a0"))
    for number in range(1, count):
        pipeline.asset(function(f"a{number}", [f"a{max(0, number - WIDTH)}"]))
    last = function("last", [f"a{number}" for number in range(max(0, count - WIDTH), count)])
    pipeline.asset(last)
    async with Runtime(pipeline) as runtime:
        await runtime.materialize_all("last")
        gc.collect()
        return min([await cpu_seconds(runtime.materialize_all("last")) for _ in range(3)]) / count


async def of_steps(count: int) -> float:
    """Seconds per step of a backfill of so many partitions, 64 at a time."""
    pipeline = Pipeline("steps")
    hours = HourlyPartitions("1900-01-01", "2025-12-31")
    pipeline.asset(STEP, partitions=hours)
    first, last = hours.keys()[0], hours.keys()[count - 1]
    async with Runtime(pipeline) as runtime:
        gc.collect()
        return (
            await cpu_seconds(runtime.backfill("step", start=first, end=last, max_parallel=64, refresh="all"))
            / count
        )


async def of_subscribers(count: int, few: int, many: int) -> tuple[float, float]:
    """Seconds per step of a backfill that a few listen to, and of one that many listen to."""
    pipeline = Pipeline("heard")
    pipeline.asset(STEP, partitions=StaticPartitions([f"k{number}" for number in range(count)]))
    async with Runtime(pipeline) as runtime:

        async def before(audience: int) -> float:
            async with AsyncExitStack() as listening:
                for _ in range(audience):
                    await listening.enter_async_context(runtime.subscribe("step"))
                return await cpu_seconds(runtime.backfill("step", max_parallel=64, refresh="all"))

        times = await best(5, lambda: before(few), lambda: before(many))
    return times.bare / count, times.ours / count
