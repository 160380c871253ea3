"""One asset feeds 1,000, which feed one: once as 1,000 assets, once as one asset with 1,000 partitions."""

from __future__ import annotations

import asyncio

from benchmarks.figure import Figure
from benchmarks.functions import function
from benchmarks.timing import Best, best, by_loop, cpu_seconds
from flowstone import Pipeline, Runtime, StaticPartitions

SOURCE = function("source")
LEAF = function("leaf", ["source"], "return source + 1")


async def measure(*, quick: bool) -> list[Figure]:
    """µs per step of `materialize_all` on a warm runtime."""
    size, rounds = (100, 2) if quick else (1_000, 9)
    return [
        figure(f"fan-out 1→{size:,}→1, assets", size, await over_assets(size, rounds)),
        figure(f"fan-out 1→{size:,}→1, partitions", size, await over_partitions(size, rounds)),
    ]


def figure(name: str, size: int, times: Best) -> Figure:
    """Seconds as a figure per step."""
    scale = 1e6 / (size + 2)
    return Figure(
        name, "µs/step", times.ours * scale, times.bare * scale, None, by_loop(asyncio_=5, uvloop=7), 2
    )


async def over_assets(size: int, rounds: int) -> Best:
    """The last asset has 1,000 parameters."""
    names = [f"leaf{number}" for number in range(size)]
    leaves = [function(name, ["source"], "return source + 1") for name in names]
    sink = function("sink", names, f"return sum(({', '.join(names)},))")

    async def bare() -> int:
        values = {"source": await asyncio.create_task(SOURCE())}
        tasks = {
            name: asyncio.create_task(leaf(values["source"]))
            for name, leaf in zip(names, leaves, strict=True)
        }
        for name, task in tasks.items():
            values[name] = await task
        return await asyncio.create_task(sink(*(values[name] for name in names)))

    pipeline = Pipeline("fan_out")
    for step in (SOURCE, *leaves, sink):
        pipeline.asset(step)
    async with Runtime(pipeline) as runtime:
        times = await best(
            rounds, lambda: cpu_seconds(bare()), lambda: cpu_seconds(runtime.materialize_all("sink"))
        )
        assert await runtime.load("sink") == await bare() == 2 * size
    return times


async def over_partitions(size: int, rounds: int) -> Best:
    """The last asset receives a dict of 1,000 values."""
    keys = [f"k{number}" for number in range(size)]
    sink = function("sink", ["leaf"], "return sum(leaf.values())")

    async def bare() -> int:
        source = await asyncio.create_task(SOURCE())
        tasks = {key: asyncio.create_task(LEAF(source)) for key in keys}
        values = {key: await task for key, task in tasks.items()}
        return await asyncio.create_task(sink(values))

    pipeline = Pipeline("fan_out_partitions")
    pipeline.asset(SOURCE)
    pipeline.asset(LEAF, partitions=StaticPartitions(keys))
    pipeline.asset(sink)
    async with Runtime(pipeline) as runtime:
        times = await best(
            rounds, lambda: cpu_seconds(bare()), lambda: cpu_seconds(runtime.materialize_all("sink"))
        )
        assert await runtime.load("sink") == await bare() == 2 * size
    return times
