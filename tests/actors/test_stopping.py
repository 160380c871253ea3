"""How actors and runnables are stopped: asked, then one cancel, then killed, then abandoned by name."""

from __future__ import annotations

import asyncio

import pytest

from flowstone.actors import (
    ActorDown,
    Child,
    Crashed,
    Killed,
    Normal,
    Shutdown,
    StartFailed,
    Supervisor,
    SupervisorGaveUp,
)
from tests.actors.probes import Boom, Crash, Do, Get, Probe, Tenacious, probe


async def forever():
    """Wait until cancelled."""
    await asyncio.get_running_loop().create_future()


async def as_value(awaitable):
    """The outcome of an awaitable, errors too."""
    try:
        return await awaitable
    except Exception as error:
        return error


async def busy(ref, action, clock):
    """Have an actor handle a message that does not end."""
    call = asyncio.create_task(as_value(ref.call(Do(action), timeout=None)))
    await clock.settle()
    return call


# Actors ----------------------------------------------------------------------------------------------------


async def test_the_message_in_hand_finishes(tree, clock):
    """A shutdown interrupts nothing within its time."""
    async with tree([probe("a", shutdown=5.0)]) as root:
        call = await busy(root.child("a"), lambda: clock.sleep(4.9), clock)
        stop = asyncio.create_task(root.stop_child("a"))
        await clock.advance(4.89)
        assert not stop.done()
        await clock.advance(0.02)
        assert stop.done()
        assert await call is None


async def test_a_handler_that_is_not_done_in_time_gets_one_cancel_and_a_moment(tree, clock):
    """Its cleanup may await for a twentieth of a second; then on_stop hears Killed."""
    log = []

    async def work():
        try:
            await forever()
        finally:
            log.append("cancelled")
            await clock.sleep(0.04)
            log.append("cleaned up")

    child = Child("a", lambda: Probe("a", log), shutdown=5.0, on_exit=lambda how: log.append(f"end: {how}"))
    async with tree([child]) as root:
        del log[:]
        call = await busy(root.child("a"), work, clock)
        stop = asyncio.create_task(root.stop_child("a"))
        await clock.advance(5.03)
        assert log == ["cancelled"]
        await clock.advance(0.02)
        assert log == ["cancelled", "cleaned up", "stop a: killed", "end: killed"]
        assert stop.done()
        assert isinstance(await call, ActorDown)


@pytest.mark.parametrize(
    "behaviour", ["swallow", "loop_in_finally", "wait_for_child", "gather", "shield", "busy"]
)
@pytest.mark.parametrize("where", ["handle", "on_stop", "on_start"])
async def test_an_actor_that_will_not_stop_is_gone_within_its_bound(behaviour, where, tree, clock, reports):
    """Shutdown plus a tenth of a second, whatever its code does and wherever."""
    tenacious = Tenacious()
    act = getattr(tenacious, behaviour)

    class Hostile(Probe):
        async def on_start(self, me):
            super().on_start(me)
            if where == "on_start" and starts:
                await act()
            starts.append(1)

        async def on_stop(self, how):
            if where == "on_stop":
                await act()

    starts = []
    inner = Child("inner", lambda: Supervisor([Child("a", Hostile, shutdown=2.0)]))
    async with tree([inner]) as root:
        ref = root.child("inner").instance.child("a")
        call = await busy(ref, act, clock) if where == "handle" else None
        if where == "on_start":
            ref.cast(Crash())
            await clock.settle()
            assert root.tree().find("a").state == "starting"
        watch = asyncio.create_task(ref.down())
        stop = asyncio.create_task(root.stop_child("inner"))
        await clock.advance(1.99)
        assert not stop.done()
        await clock.advance(0.11)
        assert stop.done()
        ending = await watch
        assert ending == Killed() or (behaviour == "shield" and ending == Shutdown())
        if call is not None:
            assert isinstance(await call, ActorDown)
        tenacious.release()
        await clock.settle()


async def test_a_start_that_swallows_its_cancel_is_stopped_as_soon_as_it_is_done(tree, clock):
    """The cancel is spent, the shutdown is not forgotten."""
    log = []

    class Swallows(Probe):
        async def on_start(self, me):
            super().on_start(me)
            try:
                await forever()
            except asyncio.CancelledError:
                log.append("swallowed")

    async def body():
        async with tree([Child("a", lambda: Swallows("a", log))]):
            pytest.fail("the body must not run")

    host = asyncio.create_task(body())
    await clock.settle()
    host.cancel()
    with pytest.raises(asyncio.CancelledError):
        await host
    assert log == ["start a", "swallowed", "stop a: shutdown"]


async def test_on_stop_after_a_crash_has_the_shutdown_time(tree, clock):
    """A crash does not give a hanging cleanup more time than a shutdown would."""

    class Hangs(Probe):
        async def on_stop(self, how):
            await forever()

    async with tree([Child("a", Hangs, shutdown=3.0)]) as root:
        ref = root.child("a")
        watch = asyncio.create_task(ref.down())
        ref.cast(Crash())
        await clock.advance(2.99)
        assert not watch.done()
        await clock.advance(0.11)
        assert await watch == Killed()
        assert await ref.call(Get()) == 0
        stop = asyncio.create_task(root.stop_child("a"))
        await clock.advance(3.1)
        await stop


async def test_a_stop_during_that_cleanup_waits_for_it(tree, clock):
    """It is not begun a second time."""
    log = []

    class Slow(Probe):
        async def on_stop(self, how):
            log.append(str(how))
            await clock.sleep(1.0)

    async with tree([Child("a", Slow, shutdown=3.0)]) as root:
        root.child("a").cast(Crash())
        await clock.advance(0.5)
        stop = asyncio.create_task(root.stop_child("a"))
        await clock.advance(0.49)
        assert not stop.done()
        await clock.advance(0.02)
        assert stop.done()
    assert log == ["crashed: Boom"]


async def test_kill_loses_the_calls_of_the_killed(tree, clock):
    """They hear ActorDown with Killed, at once."""
    async with tree([probe("a", shutdown="kill")]) as root:
        call = await busy(root.child("a"), forever, clock)
        waiting = asyncio.create_task(as_value(root.child("a").call(Get())))
        await clock.settle()
        await root.stop_child("a")
        for outcome in (await call, await waiting):
            assert isinstance(outcome, ActorDown)
            assert outcome.exit == Killed()


async def test_after_a_crash_the_tasks_of_the_actor_are_gone_before_the_next_starts(tree, clock):
    """The new incarnation does not meet its predecessor's tasks."""
    log = []

    class Spawns(Probe):
        def on_start(self, me):
            log.append("start")
            super().on_start(me)
            self.task = asyncio.create_task(self.work())

        async def work(self):
            try:
                await forever()
            finally:
                await asyncio.sleep(0)
                log.append("task ended")

    async with tree([Child("a", Spawns)]) as root:
        await clock.settle()
        root.child("a").cast(Crash())
        await clock.settle()
        assert log == ["start", "task ended", "start"]
    assert log == ["start", "task ended", "start", "task ended"]


async def test_a_stranger_who_cancels_an_actors_task_crashes_it(tree, clock):
    """A cancellation that its supervisor did not ask for is a failure, and healed."""
    async with tree([probe("a")]) as root:
        ref = root.child("a")
        watch = asyncio.create_task(ref.down())
        await clock.settle()
        ref._process.task.cancel()
        ending = await watch
        assert isinstance(ending, Crashed)
        assert isinstance(ending.error, asyncio.CancelledError)
        await clock.settle()
        assert ref.alive


async def test_a_task_group_in_on_stop_works_after_the_cancel(tree, clock):
    """The one cancel is taken back before on_stop, or a task group in it would misread it."""
    log = []

    async def fail():
        raise Boom

    class Careful(Probe):
        async def on_stop(self, how):
            log.append(asyncio.current_task().cancelling())
            try:
                async with asyncio.TaskGroup() as group:
                    group.create_task(fail())
                    await forever()
            except* Boom:
                log.append("group")

    async with tree([Child("a", Careful, shutdown=1.0)]) as root:
        call = await busy(root.child("a"), forever, clock)
        stop = asyncio.create_task(root.stop_child("a"))
        await clock.advance(1.0)
        await stop
        await call
    assert log == [0, "group"]


# Runnables -------------------------------------------------------------------------------------------------


class Loop:
    """A runnable that can be asked."""

    def __init__(self, log):
        self.log = log
        self.asked = asyncio.Event()

    async def run(self, started):
        self.log.append("run")
        started()
        await self.asked.wait()
        self.log.append("done")

    def stop(self):
        self.asked.set()


class Endless:
    """A runnable that must be cancelled."""

    def __init__(self, log):
        self.log = log

    async def run(self, started):
        started()
        try:
            await forever()
        finally:
            await asyncio.sleep(0)
            self.log.append("cleaned up")


async def test_a_runnable_is_asked_to_stop(tree):
    """Its stop() is called, its run() returns."""
    log = []
    child = Child("loop", lambda: Loop(log), on_exit=log.append)
    async with tree([child]) as root:
        assert root.tree().children[0].kind == "runnable"
        assert root.tree().children[0].detail == "Loop"
    assert log == ["run", "done", Normal()]


async def test_a_runnable_without_stop_is_cancelled(tree):
    """Once, with its shutdown time to clean up."""
    log = []
    async with tree([Child("endless", lambda: Endless(log), on_exit=log.append)]):
        pass
    assert log == ["cleaned up", Shutdown()]


async def test_a_runnable_that_ignores_its_stop_gets_a_cancel_at_its_deadline(tree, clock):
    """Asked, then one cancel, and Killed is the exit."""
    log = []

    class Deaf(Endless):
        def stop(self):
            log.append("asked")

    async with tree([Child("deaf", lambda: Deaf(log), shutdown=2.0, on_exit=log.append)]) as root:
        stop = asyncio.create_task(root.stop_child("deaf"))
        await clock.advance(1.99)
        assert log == ["asked"]
        await clock.advance(0.02)
        assert stop.done()
    assert log == ["asked", "cleaned up", Killed()]


async def test_a_stop_that_raises_is_reported_and_replaced_by_a_cancel(tree, reports):
    """The tree stops all the same."""
    log = []

    class Broken(Endless):
        def stop(self):
            raise Boom

    async with tree([Child("broken", lambda: Broken(log))]):
        pass
    assert log == ["cleaned up"]
    assert [report.kind for report in reports] == ["hook_failed"]


async def test_an_asynchronous_stop_is_refused(tree):
    """It only asks."""

    class Wrong(Endless):
        async def stop(self):
            """Never called."""

    with pytest.raises(StartFailed, match="make it a plain function"):
        async with tree([Child("wrong", lambda: Wrong([]))]):
            pytest.fail("the body must not run")


async def test_a_runnable_that_returns_before_it_started_has_failed_to_start(tree):
    """The supervisor would otherwise wait for ever, or go on too early."""

    class Silent:
        async def run(self, started):
            """Nothing."""

    with pytest.raises(StartFailed, match=r"returned before it called started\(\)"):
        async with tree([Child("silent", Silent)]):
            pytest.fail("the body must not run")


async def test_a_runnable_that_fails_is_restarted(tree, clock):
    """Like any child."""
    runs = []

    class Fails:
        async def run(self, started):
            started()
            runs.append(1)
            if len(runs) < 3:
                raise Boom
            await forever()

    async with tree([Child("fails", Fails)]) as root:
        await clock.settle()
        assert len(runs) == 3
        assert root.tree().children[0].restarts == 2


async def test_a_runnable_that_keeps_failing_is_given_up(tree):
    """As well."""

    class Fails:
        async def run(self, started):
            started()
            raise Boom

    with pytest.raises(SupervisorGaveUp):
        async with tree([Child("fails", Fails)]):
            await forever()


async def test_a_runnable_has_an_instance_and_no_mailbox(tree):
    """Direct calls are how one speaks to it."""
    log = []
    async with tree([Child("loop", lambda: Loop(log))]) as root:
        ref = root.child("loop", Loop)
        assert ref.instance.log is log
        with pytest.raises(ActorDown, match=r"is a runnable and takes no messages: use \.instance"):
            await ref.call(Get())
