"""Retries, back-off and the timeout of an attempt, on a clock that moves only when told."""

from __future__ import annotations

import asyncio
import threading

import pytest

from flowstone import (
    Context,
    MaterializationFailed,
    Permanent,
    Pipeline,
    Retry,
    Retryable,
    RunFailed,
    Runtime,
)
from flowstone.actors import Cast
from tests.runtime.doubles import BrokenIO, Gate

STEADY = Retry(attempts=3, delay=1.0, backoff=2.0, jitter=0.0)


def failing(error, retry, times=99):
    """An asset `flaky` that raises `error` the first `times` times, and its attempts."""
    pipeline, attempts = Pipeline(), []

    @pipeline.asset(retry=retry)
    async def flaky(context: Context) -> int:
        attempts.append(context.attempt)
        if len(attempts) <= times:
            raise error
        return len(attempts)

    return pipeline, attempts


async def test_an_asset_without_retry_has_one_attempt():
    """`retry` is opt-in."""
    pipeline, attempts = failing(OSError("down"), None)
    async with Runtime(pipeline) as runtime:
        with pytest.raises(MaterializationFailed):
            await runtime.materialize("flaky")
        assert attempts == [1]


@pytest.mark.both_loops
async def test_attempts_follow_after_growing_delays(clock, background):
    """1 s, then 2 s: the third attempt succeeds, and the record says it was the third."""
    pipeline, attempts = failing(OSError("down"), STEADY, times=2)
    async with Runtime(pipeline, clock=clock) as runtime:
        call = background(runtime.materialize("flaky"))
        await clock.advance(0.9)
        assert attempts == [1]
        await clock.advance(0.2)
        assert attempts == [1, 2]
        await clock.advance(1.8)
        assert attempts == [1, 2]
        await clock.advance(0.2)
        assert attempts == [1, 2, 3]
        record = await call
        assert record.attempt == 3
        assert await runtime.load("flaky") == 3


async def test_the_last_attempt_counts(clock, background):
    """When all fail, the failure is that of the last one; the history has one record."""
    pipeline, attempts = failing(OSError("down"), STEADY)
    async with Runtime(pipeline, clock=clock) as runtime:
        call = background(runtime.materialize("flaky"))
        await clock.advance(100)
        with pytest.raises(MaterializationFailed) as caught:
            await call
        assert attempts == [1, 2, 3]
        assert caught.value.materialization.attempt == 3
        assert caught.value.failure.retryable
        assert len(await runtime.history("flaky")) == 1


async def test_only_the_exceptions_in_on_are_retried(clock, background):
    """`Retry(on=(OSError,))` retries a subclass of it, and not another exception."""
    for error, expected in ((ConnectionError("reset"), [1, 2, 3]), (ValueError("bad"), [1])):
        pipeline, attempts = failing(error, Retry(on=(OSError,), delay=0, jitter=0))
        async with Runtime(pipeline, clock=clock) as runtime:
            call = background(runtime.materialize("flaky"))
            await clock.advance(1)
            with pytest.raises(MaterializationFailed):
                await call
            assert attempts == expected


async def test_permanent_is_never_retried():
    """Whatever the asset's `Retry` says."""
    pipeline, attempts = failing(Permanent("no such customer"), STEADY)
    async with Runtime(pipeline) as runtime:
        with pytest.raises(MaterializationFailed, match="no such customer") as caught:
            await runtime.materialize("flaky")
        assert attempts == [1]
        assert not caught.value.failure.retryable


async def test_retryable_is_retried_after_the_time_it_names(clock, background):
    """Even if `on` does not list it; `after` replaces the back-off; the attempts still bound it."""
    pipeline, attempts = failing(Retryable("busy", after=7), Retry(attempts=2, delay=1, on=(ValueError,)))
    async with Runtime(pipeline, clock=clock) as runtime:
        call = background(runtime.materialize("flaky"))
        await clock.advance(6.9)
        assert attempts == [1]
        await clock.advance(0.2)
        with pytest.raises(MaterializationFailed):
            await call
        assert attempts == [1, 2]


async def test_retryable_without_a_retry_fails():
    """It is retried within the attempts, and an asset without `retry` has one."""
    pipeline, attempts = failing(Retryable("busy"), None)
    async with Runtime(pipeline) as runtime:
        with pytest.raises(MaterializationFailed):
            await runtime.materialize("flaky")
        assert attempts == [1]


@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt(), asyncio.CancelledError()])
async def test_what_is_no_exception_is_not_retried(error):
    """`Retry.on` is about `Exception`: an exit or a cancellation is not answered with another attempt."""
    pipeline, attempts = failing(error, STEADY)
    async with Runtime(pipeline) as runtime:
        with pytest.raises(MaterializationFailed):
            await runtime.materialize("flaky")
        assert attempts == [1]


async def test_a_waiting_step_holds_no_slot(clock, background):
    """Between two attempts others run, and the step's status is `waiting`."""
    pipeline, attempts = failing(OSError("down"), STEADY, times=1)

    @pipeline.asset
    async def other() -> int:
        return 1

    async with Runtime(pipeline, clock=clock, max_concurrency=1) as runtime:
        run = await runtime.submit("flaky")
        await clock.settle()
        assert attempts == [1]
        assert await runtime.status("flaky") == "waiting"
        assert await run.status() == "waiting"
        await runtime.materialize("other")
        await clock.advance(1.5)
        assert (await run.wait()).status == "succeeded"


async def test_downstream_waits_for_the_attempt_that_succeeds(clock, background):
    """A step whose upstream is retried is neither skipped nor started early."""
    pipeline, _ = failing(OSError("down"), STEADY, times=1)
    seen = []

    @pipeline.asset
    async def after(flaky: int) -> None:
        seen.append(flaky)

    async with Runtime(pipeline, clock=clock) as runtime:
        call = background(runtime.materialize_all("after"))
        await clock.advance(0.5)
        assert seen == []
        await clock.advance(1)
        await call
        assert seen == [2]


async def test_a_run_can_be_cancelled_between_two_attempts(clock):
    """The waiting step ends cancelled, and no attempt follows."""
    pipeline, attempts = failing(OSError("down"), STEADY)
    async with Runtime(pipeline, clock=clock) as runtime:
        run = await runtime.submit("flaky")
        await clock.settle()
        await run.cancel()
        assert await run.status() == "cancelled"
        await clock.advance(100)
        assert attempts == [1]


async def test_retries_are_announced(clock, background):
    """`step.retried` says which attempt failed, why, and how long the wait is."""
    pipeline, _ = failing(OSError("down"), STEADY, times=2)
    async with Runtime(pipeline, clock=clock) as runtime, runtime.subscribe("step.retried") as events:
        call = background(runtime.materialize("flaky"))
        await clock.advance(10)
        await call
        retried = [await anext(events), await anext(events)]
        assert [(e.attempt, e.delay, e.failure.message) for e in retried] == [
            (1, 1.0, "OSError: down"),
            (2, 2.0, "OSError: down"),
        ]


async def test_metadata_starts_anew_with_each_attempt(clock, background):
    """What a failed attempt noted is not part of the record of the one that succeeded."""
    pipeline, notes = Pipeline(), []

    @pipeline.asset(retry=STEADY)
    async def flaky(context: Context) -> None:
        context.metadata[f"attempt_{context.attempt}"] = True
        notes.append(1)
        if len(notes) == 1:
            raise OSError

    async with Runtime(pipeline, clock=clock) as runtime:
        call = background(runtime.materialize("flaky"))
        await clock.advance(5)
        assert dict((await call).metadata) == {"attempt_2": True}


# Timeouts ---------------------------------------------------------------------------------------------------


@pytest.mark.both_loops
async def test_an_attempt_that_takes_too_long_fails_with_the_kind_timeout(clock, background):
    """The function is cancelled and cleans up; the failure names the limit."""
    pipeline, cleaned = Pipeline(), []

    @pipeline.asset(timeout=30)
    async def slow() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            cleaned.append(1)

    async with Runtime(pipeline, clock=clock) as runtime:
        call = background(runtime.materialize("slow"))
        await clock.advance(29)
        assert not call.done()
        await clock.advance(2)
        with pytest.raises(MaterializationFailed, match="30 s") as caught:
            await call
        assert caught.value.failure.kind == "timeout"
        assert cleaned == [1]
        assert await runtime.status("slow") == "failed"


async def test_an_attempt_in_time_is_left_alone(clock, background):
    """The limit ends with the attempt; it does not reach a later one."""
    pipeline, gate = Pipeline(), Gate()

    @pipeline.asset(timeout=30)
    async def slow() -> int:
        await gate.wait()
        return 1

    async with Runtime(pipeline, clock=clock) as runtime:
        call = background(runtime.materialize("slow"))
        await clock.advance(29)
        gate.open()
        timers = clock.timers
        assert (await call).status == "succeeded"
        assert clock.timers == timers - 1
        await clock.advance(100)
        assert await runtime.load("slow") == 1


@pytest.mark.parametrize(("on", "expected"), [((Exception,), 3), ((TimeoutError,), 3), ((ValueError,), 1)])
async def test_a_timeout_is_retried_like_a_timeout_error(clock, background, on, expected):
    """`Retry.on` decides, as if the asset had raised `TimeoutError`."""
    pipeline, attempts = Pipeline(), []

    @pipeline.asset(timeout=5, retry=Retry(attempts=3, delay=1, jitter=0, on=on))
    async def slow() -> None:
        attempts.append(1)
        await asyncio.Event().wait()

    async with Runtime(pipeline, clock=clock) as runtime:
        call = background(runtime.materialize("slow"))
        await clock.advance(100)
        with pytest.raises(MaterializationFailed) as caught:
            await call
        assert caught.value.failure.kind == "timeout"
        assert len(attempts) == expected


async def test_the_timeout_covers_loading_and_storing(clock, background):
    """An attempt is more than the function: a hanging IO manager does not hold it for ever."""
    for broken in ("store", "load"):

        class Hanging(BrokenIO):
            __slots__ = ()

            async def store(self, target, value):
                if "store" in self.broken and target.asset == "report":
                    await asyncio.Event().wait()
                return await super().store(target, value)

            async def load(self, location):
                if "load" in self.broken:
                    await asyncio.Event().wait()
                return await super().load(location)

        pipeline = Pipeline()

        @pipeline.asset
        async def raw() -> int:
            return 1

        @pipeline.asset(timeout=30)
        async def report(raw: int) -> int:
            return raw

        manager = Hanging(OSError("never raised"))
        async with Runtime(pipeline, io={"default": manager}, clock=clock) as runtime:
            await runtime.materialize("raw")
            manager.broken = {broken}
            if broken == "store":
                manager.error = None
            call = background(runtime.materialize("report"))
            await clock.advance(31)
            with pytest.raises(MaterializationFailed) as caught:
                await call
            assert caught.value.failure.kind == "timeout"


async def test_a_thread_that_waits_for_its_turn_does_not_time_out(clock, background):
    """The time a plain function spends in the queue for a thread is not its own."""
    pipeline, free = Pipeline(), threading.Event()
    entered = asyncio.Event()
    loop = asyncio.get_running_loop()

    @pipeline.asset
    def holder() -> None:
        loop.call_soon_threadsafe(entered.set)
        free.wait(60)

    @pipeline.asset(timeout=10)
    def quick() -> int:
        return 1

    async with Runtime(pipeline, clock=clock, max_threads=1) as runtime:
        try:
            first = background(runtime.materialize("holder"))
            await entered.wait()
            second = background(runtime.materialize("quick"))
            await clock.advance(60)
            assert not second.done()
        finally:
            free.set()
        await first
        assert (await second).status == "succeeded"


async def test_a_thread_has_the_time_that_its_inputs_have_left(clock, background):
    """Six of ten seconds for loading leave four for the function."""
    pipeline, free = Pipeline(), threading.Event()
    entered, loading = asyncio.Event(), Gate()
    loop = asyncio.get_running_loop()

    class Slow(BrokenIO):
        __slots__ = ()

        async def load(self, location):
            await loading.wait()
            return await super().load(location)

    @pipeline.asset
    async def raw() -> int:
        return 1

    @pipeline.asset(timeout=10)
    def report(raw: int) -> None:
        loop.call_soon_threadsafe(entered.set)
        free.wait(60)

    io = {"default": Slow(OSError())}
    async with Runtime(pipeline, io=io, clock=clock, cancel_timeout=1) as runtime:
        try:
            await runtime.materialize("raw")
            call = background(runtime.materialize("report"))
            await loading.entered.wait()
            await clock.advance(6)
            loading.open()
            await entered.wait()
            await clock.advance(3)
            assert not call.done()
            await clock.advance(3)
            with pytest.raises(MaterializationFailed) as caught:
                await call
            assert caught.value.failure.kind == "timeout"
        finally:
            free.set()


async def test_a_thread_that_takes_too_long_fails_with_the_kind_timeout(clock, background):
    """After `cancel_timeout` it is abandoned; its late value is not recorded."""
    pipeline, free = Pipeline(), threading.Event()
    entered, left = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()

    @pipeline.asset(timeout=10)
    def stuck() -> int:
        loop.call_soon_threadsafe(entered.set)
        free.wait(60)
        loop.call_soon_threadsafe(left.set)
        return 1

    async with Runtime(pipeline, clock=clock, cancel_timeout=2) as runtime:
        call = background(runtime.materialize("stuck"))
        await entered.wait()
        await clock.settle()
        await clock.advance(13)
        with pytest.raises(MaterializationFailed) as caught:
            await call
        assert caught.value.failure.kind == "timeout"
        free.set()
        await left.wait()
        await clock.settle()
        assert not await runtime.exists("stuck")


# IO managers ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("where", ["store", "load"])
async def test_an_io_manager_that_fails_is_a_failure_of_kind_io(where):
    """Storing its value or loading its inputs: the step fails, its message names the manager and the cause."""
    pipeline = Pipeline()

    @pipeline.asset
    async def raw() -> int:
        return 1

    @pipeline.asset(io="bucket")
    async def report(raw: int) -> int:
        return raw

    broken = BrokenIO(OSError("disk on fire"), where)
    managers = {"bucket": broken} if where == "store" else {"default": broken, "bucket": BrokenIO(OSError())}
    async with Runtime(pipeline, io=managers) as runtime:
        await runtime.materialize("raw")
        with pytest.raises(MaterializationFailed, match="disk on fire") as caught:
            await runtime.materialize("report")
        assert caught.value.failure.kind == "io"
        assert not await runtime.exists("report")


async def test_an_io_manager_that_is_not_there():
    """The step fails with kind io, and the sentence says what to pass to the runtime."""
    pipeline = Pipeline()

    @pipeline.asset(io="lake")
    async def raw() -> int:
        return 1

    async with Runtime(pipeline) as runtime:
        with pytest.raises(MaterializationFailed, match="'lake'") as caught:
            await runtime.materialize("raw")
        assert caught.value.failure.kind == "io"
        assert "io={" in caught.value.failure.message


async def test_an_io_failure_is_retried(clock, background):
    """By default every exception is; the function runs again, because an attempt is the whole."""
    pipeline, calls = Pipeline(), []

    @pipeline.asset(retry=STEADY)
    async def raw() -> int:
        calls.append(1)
        return 1

    manager = BrokenIO(OSError("throttled"), "store")
    async with Runtime(pipeline, io={"default": manager}, clock=clock) as runtime:
        call = background(runtime.materialize("raw"))
        await clock.advance(0.5)
        manager.broken.clear()
        await clock.advance(1)
        assert (await call).attempt == 2
        assert len(calls) == 2


async def test_an_upstream_value_that_was_removed_meanwhile_fails_the_step():
    """A value that is current on record and gone from its IO manager is an io failure, not a hang."""
    pipeline = Pipeline()

    @pipeline.asset
    async def raw() -> int:
        return 1

    @pipeline.asset
    async def report(raw: int) -> int:
        return raw

    manager = BrokenIO(OSError())
    async with Runtime(pipeline, io={"default": manager}) as runtime:
        record = await runtime.materialize("raw")
        await manager.delete(record.location)
        with pytest.raises(MaterializationFailed) as caught:
            await runtime.materialize("report")
        assert caught.value.failure.kind == "io"
        result = None
        with pytest.raises(RunFailed):
            result = await runtime.materialize_all("report", refresh="missing")
        assert result is None
        assert (await runtime.materialize_all("report")).status == "succeeded"


@pytest.mark.both_loops
async def test_a_retry_that_a_crashed_coordinator_had_planned_is_not_made_early(clock, background):
    """The next one makes it at once and plans the one after it; no timer of the last one cuts that short."""
    pipeline, attempts = failing(
        OSError("down"), Retry(attempts=3, delay=10.0, backoff=1.0, jitter=0.0), times=2
    )
    async with Runtime(pipeline, clock=clock) as runtime:
        call = background(runtime.materialize("flaky"))
        await clock.advance(6.0)
        assert attempts == [1]
        runs = runtime._tree.child("runs").instance
        (run,) = runs.tree().children
        coordinator = runs.child(run.name).instance.child("coordinator")
        first = coordinator.instance
        coordinator.cast(Unknown())
        await clock.settle()
        assert coordinator.instance is not first
        assert len(attempts) == 2
        await clock.advance(9.0)
        assert len(attempts) == 2
        await clock.advance(2.0)
        assert (await call).status == "succeeded"
        assert len(attempts) == 3


class Unknown(Cast):
    """A message that no actor knows."""
