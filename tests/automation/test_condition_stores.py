"""Conditions on every store, over restarts and deaths, and on several nodes."""

from __future__ import annotations

import asyncio

import pytest

from flowstone import Automation, FileIO, MemoryIO, Output, Pipeline, Runtime, StoreUnavailable
from flowstone.store import MemoryStore
from flowstone.store.memory_automations import MemoryAutomations
from flowstone.store.memory_deliveries import MemoryDeliveries
from tests.runtime.cluster.scene import LEASE, Town


def sums():
    """A value, and an asset computed from it, which may fail."""
    pipeline = Pipeline("p")
    pipeline.number = 1
    pipeline.fail = False
    pipeline.computed = []

    @pipeline.asset
    async def raw() -> Output:
        return Output(pipeline.number, data_version=str(pipeline.number))

    @pipeline.asset(automation=Automation.on_upstream_change())
    async def total(raw: int) -> int:
        pipeline.computed.append(raw)
        if pipeline.fail:
            raise ValueError("broken")
        return raw * 2

    return pipeline


@pytest.fixture(params=["file", "postgres"])
def place(request, tmp_path):
    """Where a store is that outlives a process, as a URL."""
    if request.param == "file":
        return f"file://{tmp_path / 'store'}"
    return request.getfixturevalue("database")


async def test_a_change_starts_one_run_on_a_store_that_lasts(place, tmp_path):
    """Also one that happened while nobody drove conditions; and what was started is known after a restart."""
    pipeline = sums()
    options = {"store": place, "io": {"default": FileIO(tmp_path / "values")}, "condition_delay": 0.01}
    async with asyncio.timeout(60):
        async with Runtime(pipeline, automate=True, **options):
            pass  # From here on somebody follows.
        for number in (1, 2, 3):
            pipeline.number = number
            async with Runtime(pipeline, automate=False, **options) as runtime:
                await runtime.materialize("raw")
            async with Runtime(pipeline, automate=True, **options) as runtime:
                async with runtime.subscribe("run.finished") as ends:
                    if len(await runtime.runs(tag="automation=total")) < number:
                        await next_of(ends, "total")
                    for run in await runtime.runs(tag="automation=total"):
                        await (await runtime.run(run.id)).wait()
                assert await runtime.load("total") == 2 * number
    assert pipeline.computed == [1, 2, 3]


async def next_of(ends, asset):
    """The next end of a run of an asset."""
    async for event in ends:
        if event.asset == asset:
            return event
    raise AssertionError("the stream is over")


@pytest.mark.parametrize("fail", [False, True])
@pytest.mark.parametrize("when", ["before", "after"])
async def test_a_process_that_dies_starts_nothing_twice(clock, monkeypatch, when, fail):
    """Neither if it dies before what it decided is on record, nor before the events are done with."""
    dead = []

    async def lost(self, *_args, **_kwargs):
        dead.append(self)
        raise StoreUnavailable("gone")

    pipeline = sums()
    pipeline.fail = fail
    options = {"store": MemoryStore(), "io": {"default": MemoryIO()}, "clock": clock}
    with monkeypatch.context() as patch:
        async with Runtime(pipeline, automate=True, **options) as runtime:
            await clock.advance(1)
            patch.setattr(MemoryAutomations, "move", lost) if when == "before" else patch.setattr(
                MemoryDeliveries, "done", lost
            )
            await runtime.materialize("raw")
            await clock.advance(0.5)
    assert dead
    for _ in range(2):
        async with Runtime(pipeline, automate=True, **options) as runtime:
            await clock.advance(30)
            assert len(await runtime.runs(tag="automation=total")) == 1
    assert pipeline.computed == [1]


async def test_a_run_whose_end_nobody_saw_is_looked_at_again(clock):
    """What changed while it ran is computed by whoever drives conditions next."""
    pipeline = sums()
    store, io = MemoryStore(), {"default": MemoryIO()}
    options = {"store": store, "io": io, "clock": clock}
    async with Runtime(pipeline, automate=True, **options) as runtime:
        await runtime.materialize("raw")
        await clock.advance(1)
    async with Runtime(pipeline, automate=False, **options) as runtime:
        pipeline.number = 2
        await runtime.materialize("raw")
        await runtime.materialize("total")
        pipeline.number = 3
        await runtime.materialize("raw")
    async with Runtime(pipeline, automate=True, **options) as runtime:
        await clock.advance(5)
        assert await runtime.load("total") == 6
        assert len(await runtime.runs(tag="automation=total")) == 2


async def test_one_node_drives_them_and_another_takes_over(clock):
    """Each change is one run, whichever node saw it, and also if the node that drives dies."""
    pipeline = sums()
    async with Town(clock) as town:
        first = await town.node("first", pipeline, automate=True)
        second = await town.node("second", pipeline, automate=True)
        await clock.advance(3)
        await second.materialize("raw")
        await clock.advance(5)
        assert len(await first.runs(tag="automation=total")) == 1
        town.stores["first"].cut()
        await clock.advance(2 * LEASE)
        pipeline.number = 2
        await second.materialize("raw")
        await clock.advance(2 * LEASE)
        assert len(await second.runs(tag="automation=total")) == 2
        assert await second.load("total") == 4
