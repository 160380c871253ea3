"""Stopping politely: `runtime.drain` and leaving `async with`."""

from __future__ import annotations

import asyncio

import pytest

from flowstone import Pipeline, RunCancelled, Runtime, RuntimeStopping
from tests.runtime.doubles import Gate, UnreliableStore


def gated(gate, done):
    """`slow` waits at the gate and notes how it ended; `last` comes after it."""
    pipeline = Pipeline()

    @pipeline.asset
    async def slow() -> int:
        try:
            await gate.wait()
            done.append("finished")
        except asyncio.CancelledError:
            done.append("cancelled")
            raise
        return 1

    @pipeline.asset
    async def last(slow: int) -> int:
        done.append("last")
        return slow

    return pipeline


@pytest.mark.both_loops
async def test_leaving_lets_running_runs_finish():
    """A run under way when the body ends goes on to its end, with all its steps."""
    gate, done = Gate(), []
    async with Runtime(gated(gate, done)) as runtime:
        await runtime.submit("last")
        await gate.entered.wait()
        asyncio.get_running_loop().call_soon(gate.open)
    assert done == ["finished", "last"]


@pytest.mark.both_loops
async def test_leaving_cancels_what_is_left_after_the_shutdown_timeout(clock, background):
    """It waits `shutdown_timeout`, not longer."""
    gate, done, inside, leave = Gate(), [], asyncio.Event(), asyncio.Event()

    async def live():
        async with Runtime(gated(gate, done), clock=clock, shutdown_timeout=20) as runtime:
            await runtime.submit("last")
            await gate.entered.wait()
            inside.set()
            await leave.wait()

    life = background(live())
    await inside.wait()
    leave.set()
    await clock.advance(19)
    assert not life.done()
    await clock.advance(2)
    await life
    assert done == ["cancelled"]


async def test_a_waiter_of_a_run_that_was_cancelled_by_the_shutdown_is_told(background):
    """It gets `RunCancelled`, and nothing waits for ever."""
    gate, done = Gate(), []
    async with Runtime(gated(gate, done), shutdown_timeout=0) as runtime:
        call = background(runtime.materialize_all("last"))
        await gate.entered.wait()
    with pytest.raises(RunCancelled):
        await call


async def test_new_runs_are_refused_while_it_drains(background):
    """Every call that would start a run raises `RuntimeStopping`; reading goes on; running runs are waited for."""
    gate, done = Gate(), []
    async with Runtime(gated(gate, done)) as runtime:
        run = await runtime.submit("last")
        await gate.entered.wait()
        draining = background(runtime.drain(60))
        await asyncio.sleep(0)
        for call in (runtime.materialize, runtime.materialize_all, runtime.submit):
            with pytest.raises(RuntimeStopping):
                await call("slow")
        with pytest.raises(RuntimeStopping):
            await runtime.backfill("slow", partitions=["a"])
        assert await runtime.status("slow") == "running"
        assert (await runtime.health()).draining
        gate.open()
        assert await draining is True
        assert (await run.wait()).status == "succeeded"
        with pytest.raises(RuntimeStopping):
            await runtime.materialize("slow")
        assert await runtime.load("last") == 1


async def test_drain_cancels_after_its_timeout(clock, background):
    """It says that not everything finished by itself."""
    gate, done = Gate(), []
    async with Runtime(gated(gate, done), clock=clock) as runtime:
        run = await runtime.submit("last")
        await gate.entered.wait()
        draining = background(runtime.drain(5))
        await clock.advance(5.1)
        assert await draining is False
        assert done == ["cancelled"]
        assert await run.status() == "cancelled"


async def test_drain_with_nothing_to_wait_for_returns_at_once():
    """Also twice."""
    async with Runtime(Pipeline()) as runtime:
        assert await runtime.drain() is True
        assert await runtime.drain() is True


async def test_drain_waits_for_steps_that_wait_to_be_retried(clock, background):
    """A step between two attempts is work under way."""
    from flowstone import Retry

    pipeline, attempts = Pipeline(), []

    @pipeline.asset(retry=Retry(attempts=2, delay=3, jitter=0))
    async def flaky() -> int:
        attempts.append(1)
        if len(attempts) == 1:
            raise OSError
        return 1

    async with Runtime(pipeline, clock=clock) as runtime:
        run = await runtime.submit("flaky")
        await clock.settle()
        draining = background(runtime.drain(60))
        await clock.advance(4)
        assert await draining is True
        assert (await run.wait()).status == "succeeded"


async def test_an_error_in_the_body_is_raised_after_the_drain():
    """Leaving through an exception is as polite, and does not hide it."""
    gate, done = Gate(), []
    with pytest.raises(LookupError, match="body"):
        async with Runtime(gated(gate, done)) as runtime:
            await runtime.submit("last")
            await gate.entered.wait()
            asyncio.get_running_loop().call_soon(gate.open)
            raise LookupError("body")
    assert done == ["finished", "last"]


async def test_a_cancelled_body_leaves_too(background):
    """The task that owns the runtime is cancelled: the runtime stops and the cancellation goes on."""
    gate, done, inside = Gate(), [], asyncio.Event()

    async def live():
        async with Runtime(gated(gate, done), shutdown_timeout=0) as runtime:
            await runtime.submit("last")
            await gate.entered.wait()
            inside.set()
            await asyncio.Event().wait()

    life = background(live())
    await inside.wait()
    life.cancel()
    with pytest.raises(asyncio.CancelledError):
        async with asyncio.timeout(200):
            await life
    assert done == ["cancelled"]


@pytest.mark.parametrize(
    "kind", ["run.started", "step.started", "step.succeeded", "run.finished", "write_many"]
)
async def test_a_store_that_never_answers_does_not_hold_the_runtime(kind, background):
    """What can neither be recorded nor waited for is left to whoever opens the store next; callers are told."""
    gate, done = Gate(), []
    gate.open()
    store = UnreliableStore()
    store.gates[kind] = Gate()
    settings = {"shutdown_timeout": 0.01, "cancel_timeout": 0.01}
    async with asyncio.timeout(200):
        async with Runtime(gated(gate, done), store=store, **settings) as runtime:
            call = background(runtime.materialize_all("last", refresh="missing"))
            if kind != "write_many":
                await store.gates[kind].entered.wait()
            else:
                store.gates["step.started"] = Gate()
                await store.gates["step.started"].entered.wait()
        with pytest.raises((RuntimeStopping, RunCancelled)):
            await call


async def test_a_runtime_leaves_nothing_behind():
    """After it is left, none of its tasks is left, whatever ran in it."""
    before = asyncio.all_tasks()
    gate, done = Gate(), []
    gate.open()
    for _ in range(3):
        async with Runtime(gated(gate, done)) as runtime:
            await runtime.materialize_all("last")
            await runtime.submit("last")
    assert asyncio.all_tasks() == before


async def test_leaving_what_was_not_entered_says_so():
    """Also a second time: for those who enter and leave a runtime by hand, in the hooks of a service."""
    runtime = Runtime(Pipeline())
    with pytest.raises(RuntimeStopping, match="The runtime is not running"):
        await runtime.__aexit__(None, None, None)
    async with runtime:
        pass
    with pytest.raises(RuntimeStopping, match="The runtime is not running"):
        await runtime.__aexit__(None, None, None)
