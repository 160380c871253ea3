"""A cancel that a function sends to its own task is its failure alone; one that its caller got is the caller's."""

from __future__ import annotations

import asyncio
from contextvars import ContextVar

import pytest

from flowstone import Automation, AutomationError, Pipeline, RunRequest, Runtime
from flowstone.store import MemoryStore
from tests.automation.looking import child, letters, over, settled, status_of

WHO = ContextVar("WHO", default="nobody")


def automated(function):
    """A pipeline with a schedule and a sensor of this function; nothing of them happens by itself."""
    pipeline = letters()
    pipeline.schedule("schedule", cron="0 0 1 1 *")(function)
    pipeline.sensor("sensor", function, every=1_000_000, paused=True)
    return pipeline


@pytest.mark.parametrize("name", ["schedule", "sensor"])
class TestByHand:
    """`fire` calls functions on behalf of a task that is not the runtime's."""

    async def test_in_the_clean_up_of_a_cancelled_task(self, clock, name):
        """It does what it does anywhere else, whatever kind of function it calls."""

        async def on_loop(_):
            await asyncio.sleep(0)
            return RunRequest("letter")

        def in_thread(_):
            return RunRequest("letter")

        for function in (on_loop, in_thread):
            async with Runtime(automated(function), clock=clock) as runtime:
                fired = []

                async def work(runtime=runtime, fired=fired):
                    try:
                        await asyncio.Event().wait()
                    finally:
                        fired.extend(await runtime.fire(name))

                task = asyncio.create_task(work())
                await asyncio.sleep(0)
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task
                (run,) = fired
                await run.wait()

    async def test_a_function_that_cancels_its_own_task(self, clock, name):
        """It has failed; the caller has not been cancelled."""

        async def cancels(_):
            asyncio.current_task().cancel()
            await asyncio.sleep(0)

        async with Runtime(automated(cancels), clock=clock) as runtime:
            with pytest.raises(AutomationError, match=f"{name} '{name}' failed: CancelledError") as caught:
                await runtime.fire(name)
            assert caught.value.failure.kind == "cancelled_by_asset"
            await asyncio.sleep(0)
            assert asyncio.current_task().cancelling() == 0

    async def test_a_cancel_that_it_does_not_await(self, clock, name):
        """Strikes nobody."""

        async def cancels(_):
            asyncio.current_task().cancel()
            return RunRequest("letter")

        async with Runtime(automated(cancels), clock=clock) as runtime:
            (run,) = await runtime.fire(name)
            await run.wait()
            assert asyncio.current_task().cancelling() == 0

    async def test_a_caller_that_is_cancelled_meanwhile(self, clock, name):
        """The function is stopped, and nothing starts."""
        begun, ended = asyncio.Event(), []

        async def waits(_):
            begun.set()
            try:
                await asyncio.Event().wait()
            finally:
                ended.append(True)

        async with Runtime(automated(waits), clock=clock) as runtime:
            task = asyncio.create_task(runtime.fire(name))
            await begun.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert ended == [True]
            assert await runtime.runs() == []

    async def test_it_sees_the_context_of_its_caller(self, clock, name):
        """What a request has set is there, such as who asks for it."""

        async def who(_):
            return RunRequest("letter", tags={"who": WHO.get()})

        async with Runtime(automated(who), clock=clock) as runtime:
            WHO.set("ada")
            (run,) = await runtime.fire(name)
            await run.wait()
            (record,) = await runtime.runs(tag="who=ada")
            assert record.id == run.id


@pytest.mark.parametrize("awaits", [False, True])
async def test_a_function_of_a_condition_that_cancels_its_own_task(clock, awaits):
    """Its process lives on: it has failed if the cancel reached it, and otherwise has said what it said."""
    pipeline, asked = Pipeline("post"), []

    async def cancels(_):
        asked.append(True)
        if len(asked) == 1:
            asyncio.current_task().cancel()
        if awaits:
            await asyncio.sleep(0)
        return True

    @pipeline.asset(automation=Automation.on_missing().when(cancels))
    async def letter() -> int:
        return 1

    async with Runtime(pipeline, store=MemoryStore(), clock=clock, automate=True) as runtime:
        await settled(clock, lambda: over(runtime, "letter", 1), step=1)
        assert len(asked) == 1 + awaits
        assert child(runtime, "conditions:post").restarts == 0
        status = await status_of(runtime, "letter")
        kinds = [fire.status for fire in status.last_fires]
        assert kinds == (["started", "failed"] if awaits else ["started"])


@pytest.mark.parametrize("awaits", [False, True])
async def test_a_listener_that_cancels_its_own_task(clock, awaits):
    """It is called again if the cancel reached it, and goes on."""
    pipeline, heard = letters(), []

    @pipeline.on("run.succeeded")
    async def cancels(event):
        heard.append(event)
        if len(heard) == 1:
            asyncio.current_task().cancel()
        if awaits:
            await asyncio.sleep(0)

    async def again():
        return len(heard) == 2 + awaits

    async with Runtime(pipeline, store=MemoryStore(), clock=clock, automate=True) as runtime:
        await runtime.materialize("letter")
        await runtime.materialize("letter")
        await settled(clock, again, step=1)
        assert len(set(heard)) == 2
        assert child(runtime, "listener:cancels").restarts == 0
        assert (await status_of(runtime, "cancels")).given_up == 0


@pytest.mark.parametrize("awaits", [False, True])
async def test_a_sensor_that_cancels_its_own_task(clock, awaits):
    """A look has failed if the cancel reached it; otherwise what it asked for starts."""
    pipeline, looks = letters(), []

    @pipeline.sensor("post", every=1000)
    async def post(_):
        looks.append(True)
        if len(looks) == 1:
            asyncio.current_task().cancel()
        if awaits:
            await asyncio.sleep(0)
        return RunRequest("letter")

    async with Runtime(pipeline, store=MemoryStore(), clock=clock, automate=True) as runtime:
        await settled(clock, lambda: over(runtime, "post", 1), step=0.5)
        assert len(looks) == 1 + awaits
        kinds = [fire.status for fire in (await status_of(runtime, "post")).last_fires]
        assert kinds == (["started", "failed"] if awaits else ["started"])
