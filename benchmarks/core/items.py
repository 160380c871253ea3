"""An asset that goes through 100,000 items of nothing, of a list and of a reader; and what a million hold."""

from __future__ import annotations

import asyncio
import gc
from typing import TYPE_CHECKING

from benchmarks.core.memory import resident
from benchmarks.figure import Figure
from benchmarks.functions import function
from benchmarks.timing import Best, best, cpu_seconds
from flowstone import Each, Pipeline, Runtime

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

__all__ = ["PARALLEL", "bare", "pipeline_of"]

PARALLEL = 8
SLOWEST = 60  # µs an item.
LEAF = function("leaf", ["source"], "return source + 1")


def pipeline_of(count: int, kind: str) -> Pipeline:
    """`leaf` goes through so many items of a `list` or a `reader`."""
    pipeline = Pipeline("items")
    if kind == "list":

        @pipeline.asset
        async def source() -> list[int]:
            return list(range(count))

    else:

        @pipeline.asset(name="source")
        async def reader() -> AsyncIterator[int]:
            for number in range(count):
                yield number

    pipeline.asset(LEAF, each=Each("source", max_parallel=PARALLEL))
    return pipeline


async def bare(count: int) -> dict[int, int]:
    """A task for each item, as many at a time."""
    items, values = iter(range(count)), {}

    async def work() -> None:
        for item in items:
            values[item] = await asyncio.create_task(LEAF(item))

    await asyncio.gather(*(work() for _ in range(PARALLEL)))
    return values


async def measure(*, quick: bool) -> list[Figure]:
    """µs per item; megabytes over the idle runtime while a run goes through a million."""
    count, many, rounds = (1_000, 5_000, 2) if quick else (100_000, 1_000_000, 3)
    memory = await held(many)  # First: what a process has once used it keeps.
    return [
        *[
            figure(f"{count:,} items of a {kind}", count, await timed(count, kind, rounds))
            for kind in ("list", "reader")
        ],
        Figure(f"memory over idle, {many:,} items of a reader", "MB", memory, at_most=50),
    ]


def figure(name: str, count: int, times: Best) -> Figure:
    """Seconds as a figure per item."""
    return Figure(name, "µs/item", times.ours * 1e6 / count, times.bare * 1e6 / count, at_most=SLOWEST)


async def timed(count: int, kind: str, rounds: int) -> Best:
    """The best of each side."""
    async with Runtime(pipeline_of(count, kind), keep_runs=1) as runtime:
        times = await best(
            rounds, lambda: cpu_seconds(bare(count)), lambda: cpu_seconds(runtime.materialize_all("leaf"))
        )
        assert len(await runtime.load("leaf")) == count
    return times


async def held(count: int) -> float:
    """The most that was resident during a run and after it, beyond what was before."""
    async with Runtime(pipeline_of(count, "reader")) as runtime:
        gc.collect()
        idle = most = resident()
        running = asyncio.create_task(runtime.materialize_all("leaf"))
        while not running.done():
            await asyncio.wait([running], timeout=0.1)
            most = max(most, resident())
        assert len(await (await running).value("leaf")) == count
        return max(most, resident()) - idle
