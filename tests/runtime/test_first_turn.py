"""A run that is waited for takes its first turn before it has a tree: nothing of what a tree is for gets lost."""

from __future__ import annotations

import asyncio
import gc

import pytest

from flowstone import (
    Context,
    MaterializationFailed,
    Pipeline,
    Retry,
    RunCancelled,
    Runtime,
    RuntimeStopping,
    StoreUnavailable,
)
from flowstone.actors import Supervisor
from flowstone.runtime.run import local_runs
from flowstone.runtime.run.control import Cancel
from flowstone.runtime.run.coordinator import RunCoordinator
from flowstone.store.run_log import RunLog


@pytest.fixture(autouse=True)
def time_enough(monkeypatch):
    """What may begin at once does, however busy the machine is."""
    monkeypatch.setattr("flowstone.actors.eager.BUDGET", 3600.0)


@pytest.fixture
def trees(monkeypatch):
    """The ids of the runs that were given a tree."""
    made = []
    run_tree = local_runs.run_tree

    def noted(ctx, run, *rest):
        made.append(run.record.id)
        return run_tree(ctx, run, *rest)

    monkeypatch.setattr(local_runs, "run_tree", noted)
    return made


def one(function, **options):
    """A pipeline of this function, as the asset `it`."""
    pipeline = Pipeline("one")
    pipeline.asset(name="it", **options)(function)
    return pipeline


def below_runs(runtime):
    """The runs in the tree."""
    return next(each for each in runtime.tree().children if each.name == "runs").children


async def kinds(runtime, run_id):
    """What happened in a run."""
    return [event.kind async for event in (await runtime.run(run_id)).events()]


# Over at once ---------------------------------------------------------------------------------------------------


@pytest.mark.both_loops
async def test_a_run_that_is_over_in_its_first_turn_needs_no_tree(trees):
    """Its record and its events are those of any other run, and nothing of it is left."""
    pipeline = Pipeline("two")

    @pipeline.asset
    async def raw() -> int:
        return 1

    @pipeline.asset
    async def report(raw: int) -> int:
        return raw + 1

    async with Runtime(pipeline) as runtime:
        result = await runtime.materialize_all("report")
        assert trees == []
        assert await result.value("report") == 2
        assert below_runs(runtime) == ()
        assert runtime._runs.live == {}
        submitted = await (await runtime.submit("report")).wait()
        assert trees == [submitted.run_id]
        assert await kinds(runtime, result.run_id) == await kinds(runtime, submitted.run_id)


async def test_what_fails_at_once_fails_as_ever(trees):
    """The caller is raised what the asset raised."""

    async def fail():
        raise LookupError("no such thing")

    async with Runtime(one(fail)) as runtime:
        with pytest.raises(MaterializationFailed, match="no such thing") as caught:
            await runtime.materialize("it")
        assert isinstance(caught.value.__cause__, LookupError)
        assert await runtime.status("it") == "failed"
    assert trees == []


async def test_a_run_is_in_the_tree_while_it_has_none_of_its_own(trees):
    """Seen by its own asset, before that has awaited anything."""
    seen = []

    async def look(context: Context):
        seen.extend(below_runs(runtime))

    async with Runtime(one(look)) as runtime:
        record = await runtime.materialize("it")
        (run,) = seen
        assert (run.name, run.kind, run.state) == (record.run_id, "supervisor", "running")
        assert [each.name for each in run.walk()] == [record.run_id, "steps", "it", "coordinator"]
        assert below_runs(runtime) == ()
    assert trees == []


async def test_runs_one_after_the_other_leave_no_garbage(trees):
    """A run without a tree is freed without the collector."""

    async def it() -> int:
        return 1

    async with Runtime(one(it)) as runtime:
        await runtime.materialize("it")
        gc.collect()
        gc.disable()
        try:
            await runtime.materialize("it")
            left = [each for each in gc.get_objects() if isinstance(each, RunCoordinator)]
            ours = [each for each in left if each._ctx is runtime._ctx]
        finally:
            gc.enable()
        assert ours == []
    assert trees == []


async def test_a_row_of_runs_leaves_the_loop_its_turns(trees, monkeypatch):
    """Once runs have taken their share of a turn, the next one waits for another turn, and needs no tree either."""
    monkeypatch.setattr("flowstone.actors.eager.BUDGET", 0.0)
    turns = []

    async def it() -> int:
        return 1

    async def count():
        while True:
            turns.append(None)
            await asyncio.sleep(0)

    async with Runtime(one(it)) as runtime:
        counting = asyncio.create_task(count())
        for _ in range(20):
            await runtime.materialize("it")
        assert len(turns) >= 19
        counting.cancel()
    assert trees == []


# Not over at once -----------------------------------------------------------------------------------------------


@pytest.mark.both_loops
async def test_a_run_whose_step_waits_gets_a_tree(trees):
    """With the very attempt that has begun: it is not begun twice."""
    calls = []

    async def it():
        calls.append("begun")
        await asyncio.sleep(0)
        calls.append("over")
        return 5

    async with Runtime(one(it)) as runtime:
        record = await runtime.materialize("it")
        assert calls == ["begun", "over"]
        assert trees == [record.run_id]
        assert record.attempt == 1
        assert await runtime.load("it") == 5


async def test_its_attempt_is_in_the_tree_at_every_turn(trees, background):
    """Before, while and after the tree is made."""
    gate = asyncio.Event()

    async def it():
        await gate.wait()

    async with Runtime(one(it)) as runtime:
        waiting = background(runtime.materialize("it"))
        await asyncio.sleep(0)
        for _ in range(20):
            (run,) = below_runs(runtime)
            assert "it" in [each.name for each in run.walk()]
            await asyncio.sleep(0)
        gate.set()
        await waiting
    assert len(trees) == 1


@pytest.mark.both_loops
@pytest.mark.parametrize("turns", range(8))
async def test_a_cancel_is_heard_in_whatever_turn(turns, background):
    """While the tree is being made too; the run has stopped when `cancel()` returns."""
    ended = []

    async def it():
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            ended.append(True)

    async with Runtime(one(it)) as runtime:
        waiting = background(runtime.materialize("it"))
        await asyncio.sleep(0)
        for _ in range(turns):
            await asyncio.sleep(0)
        ((run_id, live),) = runtime._runs.live.items()
        live.ask(Cancel("asked"))
        with pytest.raises(RunCancelled):
            await waiting
        assert ended == [True]
        assert (await kinds(runtime, run_id))[-2:] == ["step.cancelled", "run.finished"]


@pytest.mark.both_loops
@pytest.mark.parametrize("turns", range(8))
async def test_a_caller_who_is_cancelled_takes_the_run_along(turns, background):
    """In whatever turn, also before the supervisor of the runs has heard of it."""
    ended = []

    async def it():
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            ended.append(True)

    async with Runtime(one(it)) as runtime:
        waiting = background(runtime.materialize("it"))
        await asyncio.sleep(0)
        for _ in range(turns):
            await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert ended == [True]
        assert await runtime.status("it") == "cancelled"


@pytest.mark.parametrize("turns", range(8))
async def test_a_runtime_that_ends_stops_it_in_whatever_turn(turns, background):
    """The attempt does not outlive the runtime, although it may have no supervisor yet."""
    ended = []

    async def it():
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            ended.append(True)

    async with Runtime(one(it), shutdown_timeout=0) as runtime:
        waiting = background(runtime.materialize("it"))
        await asyncio.sleep(0)
        for _ in range(turns):
            await asyncio.sleep(0)
    with pytest.raises((RunCancelled, RuntimeStopping)):
        await waiting
    assert ended == [True]


async def test_a_retry_of_the_first_turn_comes_in_its_time(clock, background, trees):
    """The timer that was ordered before there was an actor fires for it."""
    calls = []

    async def it():
        calls.append(clock.monotonic())
        if len(calls) < 3:
            raise OSError("not yet")
        return 1

    async with Runtime(one(it, retry=Retry(attempts=3, delay=10.0, jitter=0.0)), clock=clock) as runtime:
        waiting = background(runtime.materialize("it"))
        await clock.advance(9.9)
        assert len(calls) == 1
        await clock.advance(0.2)
        assert len(calls) == 2
        await clock.advance(30.0)
        record = await waiting
    assert record.attempt == 3
    assert len(trees) == 1


async def test_a_timeout_of_the_run_counts_from_the_first_turn(clock, background):
    """It is cancelled when its time is over."""

    async def it():
        await asyncio.get_running_loop().create_future()

    async with Runtime(one(it), clock=clock) as runtime:
        waiting = background(runtime.materialize("it", timeout=5.0))
        await clock.advance(4.9)
        assert not waiting.done()
        await clock.advance(0.2)
        with pytest.raises(TimeoutError):
            await waiting


# What goes wrong ------------------------------------------------------------------------------------------------


@pytest.mark.both_loops
@pytest.mark.parametrize("moment", ["_begin", "_after_message", "_finish"])
async def test_an_error_of_ours_is_a_crash_of_the_coordinator(moment, monkeypatch, trees, caplog):
    """The run is given a tree, whose supervisor reports the crash and goes on with a fresh coordinator."""
    calls, crashes = [], []
    sound = getattr(RunCoordinator, moment)

    def broken(self, *arguments):
        if not crashes:
            crashes.append(moment)
            raise ZeroDivisionError("a bug")
        return sound(self, *arguments)

    monkeypatch.setattr(RunCoordinator, moment, broken)

    async def it() -> int:
        calls.append(1)
        return 1

    async with Runtime(one(it)) as runtime:
        record = await runtime.materialize("it")
        assert await runtime.load("it") == 1
        assert trees == [record.run_id]
        assert (await kinds(runtime, record.run_id)).count("step.succeeded") == 1
    assert len(calls) == 1
    assert "coordinator" in caplog.text
    assert "a bug" in caplog.text


async def test_errors_of_ours_again_and_again_end_the_run(monkeypatch, background):
    """The crash of the first turn counts like every other one; other runs are not touched."""
    gate = asyncio.Event()
    crashes = []

    def broken(self):
        crashes.append(1)
        raise ZeroDivisionError("a bug")

    async def it():
        await gate.wait()
        return 1

    async with Runtime(one(it)) as runtime:
        other = background(runtime.materialize("it"))
        await asyncio.sleep(0)
        sound = RunCoordinator._begin
        monkeypatch.setattr(RunCoordinator, "_begin", broken)
        with pytest.raises(Exception, match="a bug"):
            await runtime.materialize("it")
        monkeypatch.setattr(RunCoordinator, "_begin", sound)
        assert len(crashes) == 4
        gate.set()
        await other


async def test_an_outage_in_the_first_turn_ends_the_run_as_ever(monkeypatch):
    """Nothing is recorded any more, and what had begun is stopped."""
    ended = []

    async def it():
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            ended.append(True)

    pipeline = one(it)

    @pipeline.asset
    async def beside():
        return 1

    @pipeline.asset(deps=["it", "beside"])
    async def both():
        return 1

    async with Runtime(pipeline) as runtime:

        def away(*_):
            raise StoreUnavailable("the disk is full")

        with monkeypatch.context() as outage:
            outage.setattr(RunLog, "succeed", away)
            with pytest.raises(StoreUnavailable, match="the disk is full"):
                await runtime.materialize_all("both")
        while runtime._runs.live:
            await asyncio.sleep(0)
        assert ended == [True]


async def test_a_supervisor_that_starts_nothing_any_more_leaves_no_attempt_behind(monkeypatch):
    """The attempt that has begun is stopped when there will be no tree for it."""
    ended = []

    async def it():
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            ended.append(True)

    async with Runtime(one(it)) as runtime:
        runs = runtime._runs._supervisor
        sound = Supervisor.start_child

        async def refuse(self, child):
            if self is runs:
                self._process._stopping = True
                try:
                    return await sound(self, child)
                finally:
                    self._process._stopping = False
            return await sound(self, child)

        monkeypatch.setattr(Supervisor, "start_child", refuse)
        with pytest.raises(RuntimeStopping):
            await runtime.materialize("it")
        assert ended == [True]
        assert below_runs(runtime) == ()


async def test_what_waits_for_a_slot_is_forgotten_when_there_will_be_no_tree(monkeypatch, background):
    """The slot goes to whoever comes after it, and the run that gives it back notices nothing."""
    gate, calls = asyncio.Event(), []
    pipeline = Pipeline("two")

    @pipeline.asset
    async def first():
        await gate.wait()

    @pipeline.asset
    async def second():
        calls.append("second")

    async with asyncio.timeout(60), Runtime(pipeline, max_concurrency=1, shutdown_timeout=0) as runtime:
        holding = background(runtime.materialize("first"))
        while not runtime.tree().find("first"):
            await asyncio.sleep(0)
        refused = Supervisor.start_child

        async def refuse(self, child):
            self._process._stopping = True
            try:
                return await refused(self, child)
            finally:
                self._process._stopping = False

        with monkeypatch.context() as stopping:
            stopping.setattr(Supervisor, "start_child", refuse)
            with pytest.raises(RuntimeStopping):
                await runtime.materialize("second")
        gate.set()
        assert (await holding).status == "succeeded"
        assert calls == []
        assert (await runtime.materialize("second")).status == "succeeded"
        assert calls == ["second"]
