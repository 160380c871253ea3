"""Cancelled means stopped: afterwards nothing runs, nothing late is recorded, and nothing becomes a success."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from contextlib import suppress

import pytest

from flowstone import MaterializationFailed, MemoryIO, Pipeline, Retry, RunCancelled, Runtime
from flowstone.runs.events import StepCancelled, StepFailed, StepSucceeded
from flowstone.testing.clock import VirtualClock
from tests.hostile.misbehaving import ASSETS, Stage

LONG = 60.0
"""Seconds that nothing here takes, unless it hangs."""
ENDS = (StepSucceeded, StepFailed, StepCancelled)


@pytest.fixture
async def stage():
    """A stage on which everything has ended when the test has."""
    stage = Stage()
    yield stage
    stage.end()
    await turns(50)


async def turns(count):
    """Let the loop turn."""
    for _ in range(count):
        await asyncio.sleep(0)


async def until(condition):
    """Return when the condition holds."""
    async with asyncio.timeout(LONG):
        while not condition():
            await asyncio.sleep(0.001)


async def recorded(run):
    """The events of a finished run."""
    return [event async for event in run.events()]


async def ends(run):
    """What ended the run's steps, each with how often: each step ends once."""
    return Counter(type(event).__name__ for event in await recorded(run) if isinstance(event, ENDS))


# After the cancel -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted({*ASSETS} - {"blocks", "blocks_and_raises", "blocks_with_a_loop"}))
async def test_no_code_runs_after_the_cancel(stage, name):
    """When `cancel` has returned, no line of an asset on the loop runs any more."""
    async with Runtime(stage.pipeline(), cancel_timeout=0.02) as runtime:
        run = await runtime.submit(name)
        await stage.begun.wait()
        await run.cancel()
        await turns(3)  # What is being thrown away may see that: nothing it does then is awaited.
        steps = stage.steps
        await turns(100)
        assert stage.steps == steps


async def test_a_late_value_is_nobodys(stage):
    """An asset that takes its cancel for a hint and returns a value ends cancelled, without that value."""
    stored = []

    class Watched(MemoryIO):
        async def store(self, target, value):
            stored.append(value)
            return await super().store(target, value)

    async with Runtime(stage.pipeline(), io={"default": Watched()}) as runtime:
        run = await runtime.submit("swallows_once")
        await stage.begun.wait()
        await run.cancel()
        assert await run.status() == "cancelled"
        assert not await runtime.exists("swallows_once")
        assert [each.status for each in await runtime.history("swallows_once")] == ["cancelled"]
        assert await ends(run) == {"StepCancelled": 1}
        assert stored == []


@pytest.mark.parametrize("name", ["blocks", "blocks_and_raises", "blocks_with_a_loop"])
async def test_a_zombie_thread_is_not_heard(stage, name):
    """What an abandoned thread returns or raises in the end changes nothing."""
    async with Runtime(stage.pipeline(), cancel_timeout=0.02) as runtime:
        run = await runtime.submit(name)
        await stage.begun.wait()
        await run.cancel()
        assert (await runtime.health()).abandoned == (name,)
        assert (await runtime.health()).status == "degraded"
        before = await recorded(run)
        stage.thread_over.set()
        await until(lambda: not runtime.tree().find("threads").abandoned)
        await turns(20)
        assert (await runtime.health()).status == "ok"
        assert await recorded(run) == before
        assert await runtime.status(name) == "cancelled"
        assert not await runtime.exists(name)


async def test_a_cancel_leaves_the_old_value_current(stage):
    """A value from before the cancelled run stays the current one."""
    pipeline = Pipeline("again")
    calls = []

    @pipeline.asset
    async def report():
        calls.append(1)
        if len(calls) > 1:
            stage.begin()
            await stage.stubborn()
        return len(calls)

    async with Runtime(pipeline, cancel_timeout=0.02) as runtime:
        await runtime.materialize("report")
        run = await runtime.submit("report")
        await stage.begun.wait()
        await run.cancel()
        assert await runtime.load("report") == 1
        assert (await runtime.history("report"))[0].status == "cancelled"


# At any moment ----------------------------------------------------------------------------------------------


def ordinary():
    """A chain of ordinary assets: on the loop, in a thread, and one that has tasks."""
    pipeline = Pipeline("ordinary")

    @pipeline.asset
    async def first():
        await asyncio.sleep(0)
        return 1

    @pipeline.asset
    def second(first):
        return first + 1

    @pipeline.asset
    async def third(second):
        async with asyncio.TaskGroup() as group:
            group.create_task(asyncio.sleep(0))
            group.create_task(asyncio.sleep(0))
        return second + 1

    return pipeline


async def truth(runtime, run):
    """The records, the events and the values of an ended run tell one story."""
    status = await run.status()
    assert status in {"succeeded", "cancelled"}
    result = await run.result()
    assert not result.failed
    ended = Counter((event.asset, type(event)) for event in await recorded(run) if isinstance(event, ENDS))
    assert set(ended.values()) <= {1}
    assert len({asset for asset, _ in ended}) == len(ended)
    for record in result.succeeded:
        assert ended[record.asset, StepSucceeded] == 1
        assert (await runtime.history(record.asset))[0] == record
        assert await runtime.load(record.asset) is not None
    for record in result.cancelled:
        assert (record.asset, StepSucceeded) not in ended
    if status == "succeeded":
        assert len(result.succeeded) == 3
    else:
        assert len(result.succeeded) + len(result.cancelled) == 3


async def test_a_cancel_at_any_turn_tells_one_story():
    """Wherever in a run's life the cancel strikes, each step ends once and values agree with records."""
    statuses = Counter()
    async with Runtime(ordinary()) as runtime:
        for turn in range(60):
            for name in ("first", "second", "third"):
                await runtime.invalidate(name)
            run = await runtime.submit("third")
            await turns(turn)
            if turn > 30:
                await asyncio.sleep(turn / 20_000)  # For the thread of the second step; any length will do.
            await run.cancel()
            await truth(runtime, run)
            statuses[str(await run.status())] += 1
        health = await runtime.health()
        assert (health.steps, health.waiting, health.runs, health.abandoned) == (0, 0, 0, ())
    assert statuses["cancelled"]


async def test_a_cancelled_caller_at_any_turn_leaves_no_run():
    """Wherever a caller is cancelled, its run has ended when it gets its CancelledError."""
    seen = Counter()
    async with Runtime(ordinary()) as runtime:
        for turn in range(60):
            call = asyncio.create_task(runtime.materialize_all("third"))
            await turns(turn)
            call.cancel()
            try:
                await call
            except asyncio.CancelledError:
                seen["cancelled"] += 1
            else:
                seen["finished"] += 1
            health = await runtime.health()
            assert (health.steps, health.waiting, health.runs) == (0, 0, 0)
    assert seen["cancelled"]


async def test_a_cancel_in_any_backoff_stops_the_retries():
    """A run cancelled between two attempts makes no other."""
    pipeline = Pipeline("retried")
    attempts = []

    @pipeline.asset(retry=Retry(attempts=5, delay=100.0, jitter=0.0))
    async def flaky():
        attempts.append(1)
        raise OSError("not now")

    async with Runtime(pipeline) as runtime, runtime.subscribe("step.retried") as events:
        run = await runtime.submit("flaky")
        await anext(events)
        await run.cancel()
        assert await run.status() == "cancelled"
        assert len(attempts) == 1
        with pytest.raises(RunCancelled):
            await run.wait()


# Attempts ---------------------------------------------------------------------------------------------------


async def test_attempts_do_not_overlap(stage):
    """The next attempt begins when the one before has stopped, with all its tasks, and was recorded."""
    pipeline = Pipeline("overlap")
    steps = Counter()
    seen = {}

    async def spin(attempt):
        while not stage.over.is_set():
            with suppress(BaseException):
                await asyncio.sleep(0)
            steps[attempt] += 1

    @pipeline.asset(timeout=0.02, retry=Retry(attempts=3, delay=0.0, jitter=0.0))
    async def slow(context):
        seen[context.attempt] = dict(steps)
        if context.attempt == 3:
            return "third"
        child = asyncio.create_task(spin(context.attempt))
        await spin(context.attempt)
        return child

    async with Runtime(pipeline, cancel_timeout=0.02) as runtime:
        run = await runtime.submit("slow")
        await run.wait(LONG)
        await turns(50)
        assert await runtime.load("slow") == "third"
        kinds = [
            (event.kind, event.attempt) for event in await recorded(run) if event.kind.startswith("step")
        ]
    assert seen[1] == {}
    assert seen[2] == {1: seen[3][1]}
    assert seen[3] == {1: steps[1], 2: steps[2]}
    assert kinds == [
        ("step.started", 1),
        ("step.retried", 1),
        ("step.started", 2),
        ("step.retried", 2),
        ("step.started", 3),
        ("step.succeeded", 3),
    ]


async def test_a_failed_attempt_takes_its_tasks_along():
    """Tasks that a failing attempt has left are gone before the next attempt begins."""
    pipeline = Pipeline("left")
    tasks = []

    @pipeline.asset(retry=Retry(attempts=2, delay=0.0, jitter=0.0))
    async def careless(context):
        assert all(task.done() for task in tasks)
        tasks.append(asyncio.create_task(asyncio.Event().wait()))
        await asyncio.sleep(0)
        if context.attempt == 1:
            raise OSError("once")
        return "second"

    async with Runtime(pipeline) as runtime:
        record = await runtime.materialize("careless")
        assert record.attempt == 2
        assert all(task.done() for task in tasks)


async def test_a_returning_asset_leaves_no_task(stage):
    """An asset that returns and leaves tasks behind succeeds; its tasks end, stubborn ones as well."""
    pipeline = Pipeline("left")
    tasks = []

    @pipeline.asset
    async def careless():
        tasks.append(asyncio.create_task(asyncio.Event().wait()))
        tasks.append(asyncio.create_task(stage.stubborn()))
        await asyncio.sleep(0)
        return "value"

    async with Runtime(pipeline, cancel_timeout=0.02) as runtime:
        assert (await runtime.materialize("careless")).status == "succeeded"
        assert all(task.done() for task in tasks)
        assert not (await runtime.health()).abandoned


async def test_a_returning_asset_leaves_no_hydra(stage):
    """Tasks that leave another one whenever they are cancelled come to an end as well."""
    pipeline = Pipeline("left")

    async def head():
        try:
            await stage.over.wait()
        finally:
            stage.steps += 1
            asyncio.create_task(head(), name="head")  # noqa: RUF006 - that is what is wrong with it

    @pipeline.asset
    async def careless():
        asyncio.create_task(head(), name="head")  # noqa: RUF006 - as above
        await asyncio.sleep(0)
        return "value"

    async with Runtime(pipeline) as runtime:
        assert (await runtime.materialize("careless")).status == "succeeded"
        await turns(20)
        assert "head" not in {task.get_name() for task in asyncio.all_tasks()}
        assert 1 <= stage.steps <= 20


async def test_tasks_may_clean_up_with_tasks():
    """A task that is cancelled because its function has returned may use tasks of its own to clean up."""
    pipeline = Pipeline("left")
    cleaned = []

    async def clean(depth):
        if depth:
            await asyncio.gather(*(clean(depth - 1) for _ in range(2)))
        cleaned.append(depth)

    async def tidy():
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.create_task(clean(3))

    @pipeline.asset
    async def careless():
        task = asyncio.create_task(tidy())
        await asyncio.sleep(0)
        return task.get_name()

    async with Runtime(pipeline) as runtime:
        assert (await runtime.materialize("careless")).status == "succeeded"
    assert len(cleaned) == 15


async def test_a_zombie_attempt_is_not_heard():
    """A thread of an attempt that timed out returns while the next attempt runs: only the latter counts."""
    pipeline = Pipeline("zombies")
    gates = {1: threading.Event(), 2: threading.Event()}

    @pipeline.asset(timeout=0.5, retry=Retry(attempts=2, delay=0.0, jitter=0.0))
    def slow(context):
        context.metadata["attempt"] = context.attempt
        if context.attempt == 1:
            gates[1].wait(LONG)
            gates[2].set()
            return "zombie"
        gates[1].set()
        gates[2].wait(LONG)
        return "second"

    async with Runtime(pipeline, cancel_timeout=0.02) as runtime:
        record = await runtime.materialize("slow")
        assert (record.attempt, record.metadata) == (2, {"attempt": 2})
        assert await runtime.load("slow") == "second"
        await until(lambda: not runtime.tree().find("threads").abandoned)
        assert await runtime.load("slow") == "second"
        assert [each.attempt for each in await runtime.history("slow")] == [2]


async def test_a_timeout_is_retried_only_if_the_policy_says_so():
    """`Retry(on=…)` decides about timeouts as about a TimeoutError."""
    pipeline = Pipeline("policies")

    @pipeline.asset(timeout=0.01, retry=Retry(attempts=2, delay=0.0, on=(ValueError,)))
    async def picky():
        await asyncio.Event().wait()

    @pipeline.asset(timeout=0.01, retry=Retry(attempts=2, delay=0.0, on=(OSError,)))
    async def broad():  # A TimeoutError is an OSError.
        await asyncio.Event().wait()

    async with Runtime(pipeline) as runtime:
        for name, attempts in (("picky", 1), ("broad", 2)):
            with pytest.raises(MaterializationFailed) as caught:
                await runtime.materialize(name)
            assert caught.value.failure.kind == "timeout"
            assert caught.value.materialization.attempt == attempts


async def test_time_in_the_queue_is_not_the_assets_time():
    """An asset's `timeout` begins when a thread begins with it."""
    pipeline = Pipeline("queue")
    gate = threading.Event()
    entered = threading.Event()

    @pipeline.asset
    def first():
        entered.set()
        gate.wait(LONG)

    @pipeline.asset(timeout=0.05)
    def second():
        return "in time"

    clock = VirtualClock()
    async with Runtime(pipeline, max_threads=1, clock=clock) as runtime:
        busy = await runtime.submit("first")
        await until(entered.is_set)
        run = await runtime.submit("second")
        await clock.advance(1.0)
        assert await run.status() == "running"
        gate.set()
        await run.wait(LONG)
        await busy.wait(LONG)
        assert await runtime.load("second") == "in time"
