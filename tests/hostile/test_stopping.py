"""Whatever an asset does, what stops it returns within its bound, leaves nothing unnamed, and records the truth."""

from __future__ import annotations

import asyncio
import logging

import pytest

from flowstone import MaterializationFailed, RunCancelled, Runtime
from flowstone.actors.spawn import GRACE
from tests.hostile.misbehaving import ASSETS, LEAVE_TASKS, LEAVE_THREADS, Stage

CANCEL = 5.0
BOUND = CANCEL + 2 * GRACE + 0.001
"""Seconds from the cancel to the end, whatever the asset does."""

pytestmark = pytest.mark.parametrize("name", ASSETS)


@pytest.fixture
async def stage():
    """A stage on which everything has ended when the test has."""
    before = asyncio.all_tasks()
    stage = Stage()
    yield stage
    stage.end()
    async with asyncio.timeout(200):
        while asyncio.all_tasks() - before - {asyncio.current_task()}:
            await asyncio.sleep(0.001)


class Cell:
    """One runtime with one misbehaving asset, on a virtual clock."""

    def __init__(self, stage, clock, name, **options):
        self.stage = stage
        self.clock = clock
        self.name = name
        self.pipeline = stage.pipeline(**options)

    async def __aenter__(self):
        self.outside = asyncio.all_tasks()
        self.runtime = Runtime(self.pipeline, clock=self.clock, cancel_timeout=CANCEL, shutdown_timeout=1.0)
        await self.runtime.__aenter__()
        self.before = asyncio.all_tasks()
        return self

    async def __aexit__(self, *_):
        leaving = asyncio.create_task(self.runtime.__aexit__(None, None, None))
        await self.clock.advance(1.0 + BOUND + GRACE)
        await asyncio.sleep(0)
        assert leaving.done()
        await leaving

    async def begin(self, **options):
        """Start the asset and wait until it has begun."""
        run = await self.runtime.submit(self.name, **options)
        await self.begun()
        return run

    async def begun(self):
        async with asyncio.timeout(200):
            await self.stage.begun.wait()
        await self.clock.settle()

    async def within(self, seconds, coroutine):
        """What the coroutine gives; it has to be done when so many seconds have passed."""
        task = asyncio.create_task(coroutine)
        await self.clock.settle()
        await self.clock.advance(seconds)
        await self.clock.settle()
        assert task.done(), f"not within {seconds:g} s"
        return await task

    def left(self):
        """Tasks that were not there before the run."""
        return asyncio.all_tasks() - self.before - self.stage.own - {asyncio.current_task()}

    async def check(self, caplog):
        """Nothing of the run is left, except what is named in the tree, in `health()` and in the log."""
        health = await self.runtime.health()
        left = {task.get_name() for task in self.left()}
        assert left <= set(health.abandoned)
        assert bool(left) == (self.name in LEAVE_TASKS)
        assert (self.name in health.abandoned) == (self.name in LEAVE_THREADS or self.name == "awaits_a_liar")
        in_tree = {name for process in self.runtime.tree().walk() for name in process.abandoned}
        assert in_tree == set(health.abandoned)
        for abandoned in health.abandoned:
            assert self.name in abandoned
            assert any(abandoned in record.getMessage() for record in caplog.records)
        assert (health.steps, health.waiting, health.runs) == (0, 0, 0)

    async def goes_on(self):
        """The runtime still serves, and nothing that was stopped has left a value."""
        assert not await self.runtime.exists(self.name)
        assert (await self.runtime.materialize("healthy")).status == "succeeded"


@pytest.fixture
def cell(stage, clock, name):
    """Make the cell of this asset."""

    def make(**options):
        return Cell(stage, clock, name, **options)

    return make


async def test_cancel(cell, name, caplog):
    """`run.cancel()` returns within the bound; the run and its step are cancelled, for good."""
    async with cell() as at:
        run = await at.begin()
        await at.within(BOUND, run.cancel())
        assert await run.status() == "cancelled"
        assert await at.runtime.status(name) == "cancelled"
        (record,) = (await run.result()).cancelled
        assert (record.status, record.attempt) == ("cancelled", 1)
        await at.check(caplog)
        await at.goes_on()
        with pytest.raises(RunCancelled):
            await run.wait()


async def test_timeout_of_the_asset(cell, name, caplog):
    """The asset's own `timeout` fails its step with kind `timeout`, within the bound."""
    async with cell(timeout=3.0) as at:
        call = asyncio.create_task(at.runtime.materialize(name))
        await at.begun()
        await at.clock.advance(2.9)
        assert not call.done()
        with pytest.raises(MaterializationFailed) as caught:
            await at.within(0.1 + BOUND, _awaited(call))
        assert caught.value.failure.kind == "timeout"
        assert "timeout of 3 s" in caught.value.failure.message
        assert await at.runtime.status(name) == "failed"
        await at.check(caplog)
        await at.goes_on()


async def test_timeout_of_the_call(cell, name, caplog):
    """The call's `timeout` raises TimeoutError within the bound, and the run is cancelled."""
    async with cell() as at:
        call = asyncio.create_task(at.runtime.materialize(name, timeout=3.0))
        await at.begun()
        with pytest.raises(TimeoutError):
            await at.within(3.0 + BOUND, _awaited(call))
        assert await at.runtime.status(name) == "cancelled"
        await at.check(caplog)
        await at.goes_on()


async def test_cancelled_caller(cell, name, caplog):
    """A caller that is cancelled gets its CancelledError within the bound, once the run has stopped."""
    async with cell() as at:
        call = asyncio.create_task(at.runtime.materialize(name))
        await at.begun()
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await at.within(BOUND, _awaited(call))
        assert await at.runtime.status(name) == "cancelled"
        await at.check(caplog)
        await at.goes_on()


async def test_drain(cell, name, caplog):
    """`drain()` lets it run for its time, cancels it, and returns within the bound."""
    async with cell() as at:
        run = await at.begin()
        assert not await at.within(2.0 + BOUND, at.runtime.drain(2.0))
        assert await run.status() == "cancelled"
        await at.check(caplog)


async def test_leaving(cell, name, caplog, monkeypatch):
    """Leaving `async with` stops it within the bound, and only what is named in the log outlives the runtime."""
    caplog.set_level(logging.WARNING)
    at = cell()
    async with at:
        run = await at.begin()
        tasks = asyncio.create_task(_result(run))
    with pytest.raises(RunCancelled):
        await tasks
    left = asyncio.all_tasks() - at.outside - at.stage.own - {asyncio.current_task()}
    assert bool(left) == (name in LEAVE_TASKS)
    for task in left:
        assert any(task.get_name() in record.getMessage() for record in caplog.records)


async def test_a_second_cancel_changes_nothing(cell, name):
    """Asked twice, by a caller and by a timeout, it stops once and as fast."""
    async with cell(timeout=1.0) as at:
        run = await at.begin()
        await at.clock.advance(0.5)
        first = asyncio.create_task(run.cancel())
        await at.clock.advance(0.6)
        await at.within(BOUND - 0.6, run.cancel())
        assert first.done()
        assert await run.status() == "cancelled"


async def test_a_cancel_after_the_timeout(cell, name):
    """A run cancelled while its step is being stopped for its timeout ends cancelled."""
    async with cell(timeout=1.0) as at:
        run = await at.begin()
        await at.clock.advance(1.0)
        await at.within(BOUND, run.cancel())
        status = await run.status()
        assert status in {"cancelled", "failed"}
        assert not await at.runtime.exists(name)


async def _awaited(task):
    return await task


async def _result(run):
    return await run.wait()
