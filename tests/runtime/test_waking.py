"""Waking steps, one by one or all at once, and who hears what becomes of it; and waits that would never end."""

from __future__ import annotations

import asyncio
import logging

import pytest

from flowstone import (
    Context,
    FlowstoneError,
    MaterializationFailed,
    Pipeline,
    RunFailed,
    Runtime,
    StaticPartitions,
    Status,
    WaitsForItself,
)
from flowstone.runs.events import StepWaiting
from flowstone.runtime.run import coordinator
from flowstone.runtime.services.failure_log import STEPS
from flowstone.store import memory_waits
from flowstone.store.file import FileStore
from flowstone.store.memory import MemoryStore

MANY = 400


@pytest.fixture(params=["memory", "file"])
def store(request, tmp_path):
    """A store of one process."""
    return MemoryStore() if request.param == "memory" else FileStore(tmp_path)


async def parked(store):
    """The run that is parked, once one is."""
    while not (found := await store.runs(statuses=[Status.WAITING])):
        await asyncio.sleep(0)
    return found[0]


@pytest.fixture
def replays(monkeypatch):
    """How often a run was replayed: its id, each time."""
    seen = []
    replay = coordinator.replay

    async def counted(ctx, run, state):
        seen.append(run.record.id)
        return await replay(ctx, run, state)

    monkeypatch.setattr(coordinator, "replay", counted)
    return seen


def sleepers(pause):
    """A pipeline with an asset whose partitions sleep, each for a time of its own."""
    pipeline = Pipeline("sleepers")

    @pipeline.asset(partitions=StaticPartitions([f"{n:03}" for n in range(MANY)]))
    async def rested(context: Context) -> int:
        context.sleep("nap", 10.0 + pause * int(context.partition))
        return 1

    return pipeline


async def test_steps_that_are_woken_one_by_one_share_a_replay(clock, background, replays):
    """A run with many events is kept for a while when it was taken up, so that the next ones join it."""
    async with asyncio.timeout(200), Runtime(sleepers(0.005), clock=clock) as runtime:
        waiting = background(runtime.backfill("rested"))
        await parked(runtime._ctx.store)
        await clock.advance(10.0)
        for _ in range(MANY):
            await clock.advance(0.005)
        await clock.advance(3.0)
        assert len((await waiting).succeeded) == MANY
    assert 1 <= len(replays) <= 3


async def test_a_run_that_was_kept_for_nothing_is_parked_again(clock, background, replays):
    """It holds nothing while nothing happens."""
    async with asyncio.timeout(200), Runtime(sleepers(100.0), clock=clock) as runtime:
        waiting = background(runtime.backfill("rested"))
        await parked(runtime._ctx.store)
        await clock.advance(10.0)
        assert len(runtime._runs.live) == 1
        await clock.advance(2.0)
        assert not runtime._runs.live
        assert len(replays) == 1
        waiting.cancel()


async def test_steps_that_are_due_at_once_are_woken_so_many_at_a_time(
    clock, background, replays, store, monkeypatch
):
    """In bounded parts, of a thousand unless a test has less patience, and all of them."""
    assert memory_waits._MOST == 1_000
    monkeypatch.setattr(memory_waits, "_MOST", 200)
    pipeline = Pipeline("sleepers")

    @pipeline.asset(partitions=StaticPartitions([f"{n:03}" for n in range(500)]))
    async def rested(context: Context) -> int:
        context.sleep("nap", 10.0)
        return 1

    parts = []
    async with asyncio.timeout(200), Runtime(pipeline, store=store, clock=clock) as runtime:
        expire = store.waits.expire

        async def counted(**given):
            expired = await expire(**given)
            parts.append(len(expired.woken))
            return expired

        store.waits.expire = counted
        waiting = background(runtime.backfill("rested"))
        await parked(store)
        await clock.advance(11.0)
        while not waiting.done():
            await clock.advance(0.5)
            await asyncio.sleep(0.01)
        assert len((await waiting).succeeded) == 500
    assert [part for part in parts if part] == [200, 200, 100]
    assert len(replays) == 1


async def test_an_asset_cannot_wait_for_its_own_run(background):
    """It is told at once, in one sentence, instead of waiting for ever."""
    pipeline = Pipeline("selfish")

    @pipeline.asset
    async def selfish(context: Context) -> int:
        run = await runtime.run(context.run_id)
        await run.wait()
        return 1

    @pipeline.asset(partitions=StaticPartitions(["wait", "drain"]))
    async def either(context: Context) -> int:
        run = await runtime.run(context.run_id)
        await getattr(run, context.partition)()
        return 1

    async with asyncio.timeout(200), Runtime(pipeline) as runtime:
        for partition in ("wait", "drain"):
            with pytest.raises(MaterializationFailed, match="cannot end before") as failed:
                await runtime.materialize("either", partition=partition)
            assert isinstance(failed.value.__cause__, WaitsForItself)
        with pytest.raises(RunFailed, match="selfish would wait for the end of run"):
            await (await runtime.submit("selfish", upstream=False)).wait()


async def test_nor_for_a_run_that_waits_for_its_own():
    """However long the circle is."""
    pipeline = Pipeline("circle")
    outermost = []

    @pipeline.asset
    async def outer(context: Context) -> int:
        outermost.append(context.run_id)
        await runtime.materialize("middle")
        return 1

    @pipeline.asset
    async def middle() -> int:
        await runtime.materialize("inner")
        return 1

    @pipeline.asset
    async def inner() -> int:
        await (await runtime.run(outermost[0])).wait()
        return 1

    async with asyncio.timeout(200), Runtime(pipeline) as runtime:
        with pytest.raises(MaterializationFailed, match=r"(inner|middle) would wait for the end of run"):
            await runtime.materialize("outer")


@pytest.mark.parametrize("place", ["loop", "thread"])
async def test_an_asset_cannot_end_its_own_runtime(place):
    """Which goes on, and ends when it is left from outside."""
    pipeline = Pipeline("endless")

    @pipeline.asset(run_in=place)
    def sync() -> int:
        asyncio.run_coroutine_threadsafe(runtime.__aexit__(None, None, None), runtime.loop).result()
        return 1

    @pipeline.asset
    async def on_loop() -> int:
        await runtime.__aexit__(None, None, None)
        return 1

    async with asyncio.timeout(200), Runtime(pipeline) as runtime:
        name = "on_loop" if place == "loop" else "sync"
        with pytest.raises(MaterializationFailed, match=f"{name} would end the runtime that runs it"):
            await runtime.materialize(name)
        with pytest.raises(FlowstoneError):
            await runtime.materialize(name)


async def test_a_reload_takes_up_runs_that_it_makes_known(tmp_path, clock):
    """Not only the next start."""
    pipeline = Pipeline("late")

    @pipeline.asset
    async def late() -> int:
        await asyncio.Event().wait()
        return 1

    done = Pipeline("late")

    @done.asset(name="late")
    async def ready() -> int:
        return 1

    other = Pipeline("other")

    @other.asset
    async def something() -> int:
        return 1

    store = FileStore(tmp_path)
    async with asyncio.timeout(200), Runtime(pipeline, store=store, shutdown_timeout=0.0) as first:
        run = await first.submit("late")
        await asyncio.sleep(0.05)
        await store.close()  # As if the process had died.
    async with asyncio.timeout(200), Runtime(other, store=f"file://{tmp_path}") as second:
        handle = await second.run(run.id)
        await asyncio.sleep(0.05)
        assert not (await handle.status()).terminal
        await second.reload([other, done])
        assert (await handle.wait()).status == "succeeded"


async def test_who_waits_for_a_parked_run_is_told_and_the_log_is_not(town_of_sleepers, caplog):
    """On a store of several nodes as well: the cause is what the function raised."""
    town, node = town_of_sleepers
    caplog.set_level(logging.ERROR, STEPS)
    waiting = asyncio.create_task(node.materialize_all("late"))
    await town.until(lambda: town.shared.history.waits.waiting(None), 2.0, 0.01)
    with pytest.raises(RunFailed) as failed:
        await town.outcome(waiting, 65.0)
    assert isinstance(failed.value.__cause__, KeyError)
    assert not [record for record in caplog.records if record.name == STEPS]
    run = await node.submit("late")
    waiting = asyncio.create_task(run.wait())
    with pytest.raises(RunFailed) as failed:
        await town.outcome(waiting, 65.0)
    assert isinstance(failed.value.__cause__, KeyError)
    assert not [record for record in caplog.records if record.name == STEPS]


@pytest.fixture
async def town_of_sleepers(clock):
    """A node among others whose asset fails after a sleep."""
    from tests.runtime.cluster.scene import Town

    pipeline = Pipeline("late")

    @pipeline.asset
    async def late(context: Context) -> int:
        context.sleep("nap", 60)
        raise KeyError("gone")

    async with Town(clock) as town:
        yield town, await town.node("first", pipeline)


class SlowToSay(MemoryStore):
    """A store that has recorded a wait long before it says so."""

    def __init__(self):
        super().__init__()
        self.says_so = asyncio.Event()

    async def write(self, event, epoch=0, *, payload=None):
        await super().write(event, epoch, payload=payload)
        if isinstance(event, StepWaiting):
            await self.says_so.wait()


async def test_a_step_that_is_answered_before_its_run_knows_that_it_waits_goes_on(background):
    """Whoever told the run to look came too early, and does not come again."""
    pipeline = Pipeline("quick")
    gate = asyncio.Event()

    @pipeline.asset(partitions=StaticPartitions(["asks", "works"]))
    async def part(context: Context) -> str | None:
        if context.partition == "works":
            await gate.wait()
            return None
        decision = context.approval("publish")
        gate.set()
        return decision.by

    store = SlowToSay()
    async with asyncio.timeout(200), Runtime(pipeline, store=store) as runtime:
        waiting = background(runtime.backfill("part"))
        while not (asked := await runtime.approvals()):
            await asyncio.sleep(0)
        await runtime.approve(asked[0].id, by="ada")
        for _ in range(20):
            await asyncio.sleep(0)
        store.says_so.set()
        assert len((await waiting).succeeded) == 2
