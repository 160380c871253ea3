"""The end of a runtime on a store that lasts: submitted runs stay unfinished, what a call awaits is cancelled."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import pytest

from flowstone import Context, Pipeline, RunCancelled, Runtime, RuntimeStopping, StoreUnavailable
from flowstone.runs.events import StepRetried
from flowstone.store.file import FileStore
from tests.runtime.doubles import Gate, UnreliableStore


class Work:
    """A pipeline of an asset that waits at a gate and one downstream of it, in a store in a file."""

    def __init__(self, folder):
        self.folder = folder
        self.gate = Gate()
        self.attempts = []
        self.pipeline = Pipeline("work")

        @self.pipeline.asset
        async def slow(context: Context) -> int:
            self.attempts.append(context.attempt)
            await self.gate.wait()
            return 1

        @self.pipeline.asset
        async def last(slow: int) -> int:
            return slow + 1

    def runtime(self, **options):
        options = {"shutdown_timeout": 0, "lost_attempts": 1, **options}
        return Runtime(self.pipeline, store=FileStore(self.folder), **options)

    async def of(self, run_id):
        """The run and its events, as they are on disk."""
        store = FileStore(self.folder, read_only=True)
        await store.open()
        return await store.run(run_id), [event for _, event in await store.events(run_id)]

    async def finish(self, run_id):
        """Go on with the run in another life."""
        self.gate.open()
        async with asyncio.timeout(200), self.runtime(shutdown_timeout=60) as runtime:
            return await (await runtime.run(run_id)).wait()


@pytest.fixture
def work(tmp_path):
    return Work(tmp_path)


async def test_what_was_submitted_is_left_when_the_time_is_over(work, clock, background):
    """It gets its `shutdown_timeout`; whoever waits is told. What was stopped is no loss, however often."""
    run_id = None
    for _ in range(2):
        leave = asyncio.Event()
        entered = work.gate.entered = asyncio.Event()

        async def live(leave=leave):
            nonlocal run_id
            async with work.runtime(shutdown_timeout=20, clock=clock) as runtime:
                run_id = run_id or (await runtime.submit("last")).id
                waiting = background((await runtime.run(run_id)).wait())
                await leave.wait()
            with pytest.raises(RuntimeStopping, match="left unfinished"):
                await waiting

        life = background(live())
        await entered.wait()
        leave.set()
        await clock.advance(19)
        assert not life.done()
        await clock.advance(2)
        await life
        record, events = await work.of(run_id)
        assert (record.status, dict(record.counts)) == ("running", {})
        assert isinstance(events[-1], StepRetried)
    result = await work.finish(run_id)
    assert (result.status, len(result.succeeded), work.attempts) == ("succeeded", 2, [1, 2, 3])


async def test_a_drain_leaves_it_as_well(work):
    """The runtime is still there, and so is what can be asked of it."""
    async with work.runtime() as runtime:
        run = await runtime.submit("last")
        await work.gate.entered.wait()
        assert await runtime.drain(0) is False
        assert await run.status() == "running"
        assert not runtime.live_runs()
    assert (await work.finish(run.id)).status == "succeeded"


@pytest.mark.parametrize("worker", [True, False])
async def test_what_a_call_awaits_is_cancelled(work, background, worker):
    """Whoever called is gone with the runtime: nobody would take the result."""
    async with work.runtime(worker=worker) as runtime:
        call = background(runtime.materialize_all("last"))
        await work.gate.entered.wait()
    with pytest.raises(RunCancelled) as caught:
        await call
    record, _ = await work.of(caught.value.result.run_id)
    assert (record.status, dict(record.counts)) == ("cancelled", {"cancelled": 2})


async def test_a_detached_run_is_as_one_that_was_submitted(work, background):
    """Its caller does without it."""
    async with work.runtime() as runtime:
        call = background(runtime.materialize_all("last"))
        await work.gate.entered.wait()
        (record,) = runtime.live_runs()
        (await runtime.run(record.id)).detach()
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
    assert (await work.finish(record.id)).status == "succeeded"


async def test_a_run_that_is_being_drained_ends_with_its_runtime(work, background):
    """Somebody asked for its end, and nobody is to go on with it."""
    async with work.runtime() as runtime:
        run = await runtime.submit("last")
        await work.gate.entered.wait()
        draining = background(run.drain())
        await asyncio.sleep(0)
    await draining
    record, _ = await work.of(run.id)
    assert record.status == "cancelled"


@pytest.mark.parametrize("known", [True, False])
async def test_who_may_only_read_is_told_that_nothing_is_cancelled(work, known):
    """The run is another process's, or nobody's; it stays as it is."""
    async with work.runtime() as runtime:
        run = await runtime.submit("last")
        await work.gate.entered.wait()
    reader = FileStore(work.folder, read_only=True)
    async with Runtime(work.pipeline if known else Pipeline("other"), store=reader, worker=False) as runtime:
        with pytest.raises(StoreUnavailable, match="read"):
            await (await runtime.run(run.id)).cancel()
    record, _ = await work.of(run.id)
    assert record.status == "running"


class LastingStore(UnreliableStore):
    """One that outlives its runtime, and whose calls wait where a test says so."""

    lasts = True


async def test_a_run_is_let_go_of_when_all_that_was_stopped_is_recorded(background):
    """Also that of an attempt that had to be given up, of which the run's coordinator writes: it is no loss."""
    store, entered, leave = LastingStore(), asyncio.Event(), asyncio.Event()
    pipeline = Pipeline("deaf")

    @pipeline.asset
    async def deaf() -> None:
        entered.set()
        while True:
            with suppress(asyncio.CancelledError):
                await asyncio.Event().wait()

    async def live():
        async with Runtime(pipeline, store=store, shutdown_timeout=0, cancel_timeout=0.01) as runtime:
            run = await runtime.submit("deaf")
            await leave.wait()
        return run.id

    life = background(live())
    async with asyncio.timeout(200):
        await entered.wait()
        store.gates["write_many"] = writing = Gate()
        leave.set()
        await writing.entered.wait()
        for _ in range(50):
            await asyncio.sleep(0)
        writing.open()
        events = [event for _, event in await store.events(await life)]
    assert isinstance(events[-1], StepRetried)
