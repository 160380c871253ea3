"""Retention while the store answers, and while it does not."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from random import Random

from flowstone import IOManagerError, MemoryIO, Pipeline, Runtime, StoreUnavailable
from flowstone.store import MemoryStore


class ShakyStore(MemoryStore):
    """Retention raises `error` while there is one; `asked` has when it was asked for."""

    problem = None

    def __init__(self, clock):
        super().__init__()
        self.clock = clock
        self.error = None
        self.asked = []

    async def prune(self, **limits):
        self.asked.append(self.clock.monotonic())
        if self.error is not None:
            raise self.error
        return await super().prune(**limits)


def gaps(asked):
    """Seconds between one question and the next."""
    return [round(after - before, 3) for before, after in pairwise(asked)]


async def test_a_store_that_is_away_is_asked_less_and_less_often(clock):
    """Not each second, nor in step with other processes; and once it answers, there is nothing more to ask."""
    stores = [ShakyStore(clock), ShakyStore(clock)]
    first, second = (
        Runtime(Pipeline("p"), store=store, clock=clock, random=Random(seed))
        for seed, store in enumerate(stores)
    )
    async with first, second:
        for store in stores:
            store.error = StoreUnavailable("the database is restarting")
        await clock.advance(600)
        assert (await first.health()).store == "retention failed: the database is restarting"
        one, other = (gaps(store.asked) for store in stores)
        assert len(one) < 25
        assert all(gap <= 60 for gap in one)
        assert all(gap >= 30 for gap in one[6:])
        assert one[:3] != other[:3]
        stores[0].error = None
        await clock.advance(70)
        assert (await first.health()).store is None
        asked = len(stores[0].asked)
        await clock.advance(600)
        assert len(stores[0].asked) == asked


async def test_an_idle_runtime_asks_once_an_hour(clock):
    """A second after a run has begun or ended; then less and less often, unless there was something to do."""
    pipeline, store, gate = Pipeline("p"), ShakyStore(clock), asyncio.Event()

    @pipeline.asset
    async def one() -> int:
        await gate.wait()
        return 1

    async with Runtime(pipeline, store=store, clock=clock, keep_runs=1) as runtime:
        await clock.advance(7_300)
        assert gaps(store.asked) == [3_600, 3_600]
        run = await runtime.submit("one")
        await clock.advance(7_200)
        assert gaps(store.asked)[2:7] == [100, 2, 4, 8, 16]
        assert max(gaps(store.asked)[3:]) == 600
        store.asked.clear()
        gate.set()
        await run.wait()
        for _ in range(5):
            await runtime.materialize("one")
        now = clock.monotonic()
        await clock.advance(4_000)
        assert [asked - now for asked in store.asked] == [1, 3_601]


async def test_a_retention_that_fails_otherwise_is_tried_each_second(clock):
    """It does not pass by waiting, and nobody waits for it."""
    store = ShakyStore(clock)
    async with Runtime(Pipeline("p"), store=store, clock=clock):
        store.error = IOManagerError("no")
        await clock.advance(10)
        assert set(gaps(store.asked)) == {1}


async def test_health_says_what_the_store_says_of_itself(clock):
    """A store that knows why it does not answer is asked, and its word comes first."""
    store = ShakyStore(clock)
    async with Runtime(Pipeline("p"), store=store, clock=clock) as runtime:
        store.problem = "the connection was refused"
        store.error = StoreUnavailable("timed out")
        await clock.advance(2)
        health = await runtime.health()
        assert (health.store, health.status) == ("the connection was refused", "degraded")
        assert "store: the connection was refused" in health.problems
        store.problem = store.error = None
        await clock.advance(70)
        assert await runtime.health()


async def test_values_of_an_io_manager_that_is_not_here_are_left_alone(clock, caplog):
    """Retention of a store that other pipelines use as well may come across theirs; that is no crash."""
    pipeline = Pipeline("theirs")

    @pipeline.asset(io="theirs")
    async def one() -> int:
        return 1

    store = MemoryStore()
    async with Runtime(pipeline, store=store, io={"theirs": MemoryIO()}, clock=clock) as runtime:
        for _ in range(2):
            await runtime.materialize("one")
    async with Runtime(Pipeline("ours"), store=store, keep_versions=1, clock=clock) as runtime:
        await clock.advance(2)
        assert [process.restarts for process in runtime.tree().children if process.name == "store"] == [0]
        assert await runtime.health()
    assert "1 superseded value could not be deleted" in caplog.text
