"""Steps that wait for pools, of runs whose steps are executed on several nodes: no run waits for itself."""

from __future__ import annotations

import asyncio
from random import Random

import pytest

from flowstone import Context, Pipeline, StaticPartitions

KEYS = StaticPartitions([f"k{number}" for number in range(12)])


class Watched:
    """Who is inside an asset, on whatever node."""

    def __init__(self, clock, seed):
        self.now = 0
        self.most = 0
        self.pooled = 0
        self.most_pooled = 0
        self._clock = clock
        self._random = Random(seed)

    async def stay(self, *, pooled):
        self.now += 1
        self.pooled += pooled
        self.most, self.most_pooled = max(self.most, self.now), max(self.most_pooled, self.pooled)
        try:
            await self._clock.sleep(self._random.choice([0.01, 0.2, 1.0, 3.0]))
        finally:
            self.now -= 1
            self.pooled -= pooled


def assets(watched, runtimes, node, slots):
    """`pooled` takes a slot, `free` none; `parent` runs `pooled` of another run, and `both` takes all of them."""
    pipeline = Pipeline("town")
    pipeline.pool("warehouse", slots=slots)

    @pipeline.asset(pool="warehouse", partitions=KEYS)
    async def pooled(context: Context) -> str:
        await watched.stay(pooled=True)
        return context.partition

    @pipeline.asset(pool="warehouse")
    async def other() -> int:
        await watched.stay(pooled=True)
        return 1

    @pipeline.asset(partitions=KEYS)
    async def free(context: Context) -> str:
        await watched.stay(pooled=False)
        return context.partition

    @pipeline.asset(partitions=KEYS)
    async def parent(context: Context) -> str:
        await watched.stay(pooled=False)
        await runtimes[node].materialize("other")
        return context.partition

    @pipeline.asset(partitions=KEYS)
    async def both(pooled: str, free: str) -> str:
        return pooled + free

    @pipeline.asset(partitions=KEYS)
    async def all_three(pooled: str, free: str, parent: str) -> str:
        return pooled + free + parent

    return pipeline


@pytest.mark.parametrize("asset", ["both", "all_three"])
@pytest.mark.parametrize(("max_parallel", "slots"), [(1, 1), (2, 1), (3, 2), (4, 1)])
@pytest.mark.parametrize("nodes", [1, 3])
async def test_runs_of_all_nodes_come_to_their_ends(town, nodes, max_parallel, slots, asset):
    """And no more run at a time than may, of each run and of the pool."""
    watched = Watched(town.clock, f"{nodes} {max_parallel} {slots}")
    names = [f"n{number}" for number in range(nodes)]
    for name in names:
        await town.node(name, assets(watched, town.runtimes, name, slots))
    runs = [
        asyncio.create_task(town.runtimes[name].backfill(asset, upstream=True, max_parallel=max_parallel))
        for name in names
    ]
    for run in runs:
        assert (await town.outcome(run, 2_000.0)).status == "succeeded"
    assert watched.most_pooled <= slots
    if asset == "both":
        assert watched.most <= max_parallel * nodes
