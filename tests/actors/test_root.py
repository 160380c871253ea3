"""A tree on its own: what `async with Supervisor(...)` does when things go wrong around it."""

from __future__ import annotations

import asyncio
import contextlib

import anyio
import pytest

from flowstone.actors import (
    ActorDown,
    Child,
    Shutdown,
    StartFailed,
    Supervisor,
    SupervisorGaveUp,
    TaskSupervisor,
)
from tests.actors.probes import Boom, Crash, Get, Probe, Quit, probe


async def forever():
    """Wait until cancelled."""
    await asyncio.get_running_loop().create_future()


async def give_up(root, name="a"):
    """Crash a child of a supervisor with max_restarts=0 and wait."""
    root.child(name).cast(Crash())
    await forever()


async def test_giving_up_cancels_the_body_and_raises(tree):
    """The body's own cleanup runs; no cancellation is left over afterwards."""
    log = []
    with pytest.raises(SupervisorGaveUp):
        async with tree([probe("a")], max_restarts=0) as root:
            try:
                await give_up(root)
            finally:
                await asyncio.sleep(0)
                log.append("cleanup")
    assert log == ["cleanup"]
    assert asyncio.current_task().cancelling() == 0
    await asyncio.sleep(0)


async def test_giving_up_wins_over_the_error_it_caused_in_the_body(tree, clock):
    """The body's error is the context."""
    with pytest.raises(SupervisorGaveUp) as caught:
        async with tree([probe("a")], max_restarts=0) as root:
            root.child("a").cast(Crash())
            await root.down()
            await root.child("a").call(Get())
    assert caught.value.name == "root"
    assert asyncio.current_task().cancelling() == 0


async def test_a_body_that_swallows_its_cancel_does_not_hide_that_the_tree_gave_up(tree):
    """SupervisorGaveUp is raised all the same."""
    with pytest.raises(SupervisorGaveUp):
        async with tree([probe("a")], max_restarts=0) as root:
            with contextlib.suppress(asyncio.CancelledError):
                await give_up(root)
    assert asyncio.current_task().cancelling() == 0
    await asyncio.sleep(0)


async def test_a_cancel_from_outside_wins_over_giving_up(tree, clock, reports):
    """Whoever cancelled the body gets the cancellation; the reports tell the rest."""

    async def body():
        async with tree([probe("a")], max_restarts=0) as root:
            try:
                await give_up(root)
            finally:
                asyncio.current_task().cancel()

    with pytest.raises(asyncio.CancelledError):
        await asyncio.create_task(body())
    assert [report.kind for report in reports] == ["crashed", "gave_up"]


async def test_auto_shutdown_of_the_root_ends_the_body_without_an_error(tree):
    """Run until the main child is done."""
    reached = []
    main = probe("main", restart="transient", significant=True)
    async with tree([main], auto_shutdown="any_significant") as root:
        root.child("main").cast(Quit())
        await forever()
        reached.append("never")
    assert reached == []
    assert await root.down() == Shutdown()
    assert asyncio.current_task().cancelling() == 0


async def test_an_error_of_the_body_stops_the_tree_and_goes_on(tree):
    """As with any context manager."""
    log = []
    with pytest.raises(Boom):
        async with tree([probe("a", log)]):
            raise Boom
    assert log == ["start a", "end a: shutdown"]


async def test_a_cancelled_body_still_stops_politely(tree, clock):
    """on_stop runs to its end before the cancellation goes on."""
    log = []

    class Slow(Probe):
        async def on_stop(self, how):
            await clock.sleep(1.0)
            log.append(str(how))

    async def body():
        async with tree([Child("slow", Slow)]):
            await forever()

    host = asyncio.create_task(body())
    await clock.settle()
    host.cancel()
    await clock.advance(0.5)
    assert not host.done()
    await clock.advance(0.5)
    with pytest.raises(asyncio.CancelledError):
        await host
    assert log == ["shutdown"]


async def test_a_second_cancel_during_the_shutdown_cuts_nothing_short(tree, clock):
    """Children have their own bounds; impatience does not lose their cleanup."""
    log = []

    class Slow(Probe):
        async def on_stop(self, how):
            await clock.sleep(1.0)
            log.append("done")

    async def body():
        async with tree([Child("slow", Slow)]):
            await forever()

    host = asyncio.create_task(body())
    await clock.settle()
    for _ in range(5):
        host.cancel()
        await clock.settle()
    await clock.advance(1.0)
    with pytest.raises(asyncio.CancelledError):
        await host
    assert log == ["done"]


async def test_a_cancel_during_a_normal_exit_is_raised_after_it(tree, clock):
    """It is not lost."""
    gate = asyncio.Event()

    class Slow(Probe):
        async def on_stop(self, how):
            await gate.wait()

    async def body():
        async with tree([Child("slow", Slow)]):
            pass
        pytest.fail("the cancel was lost")

    host = asyncio.create_task(body())
    await clock.settle()
    host.cancel()
    await clock.settle()
    gate.set()
    with pytest.raises(asyncio.CancelledError):
        await host


async def test_a_cancel_during_the_start_stops_what_has_started(tree, clock):
    """And the child that is being started."""
    log = []

    class Hangs(Probe):
        async def on_start(self, me):
            try:
                await forever()
            finally:
                log.append("start cancelled")

    async def body():
        async with tree([probe("a", log), Child("hangs", Hangs)]):
            pytest.fail("the body must not run")

    host = asyncio.create_task(body())
    await clock.settle()
    host.cancel()
    with pytest.raises(asyncio.CancelledError):
        await host
    assert log == ["start a", "start cancelled", "end a: shutdown"]


async def test_a_timeout_around_the_tree_is_a_timeout(tree):
    """asyncio.timeout sees its own cancel come back."""
    log = []
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(None) as limit, tree([probe("a", log)]):
            limit.reschedule(asyncio.get_running_loop().time())
            await forever()
    assert log[-1] == "end a: shutdown"


async def test_an_anyio_scope_around_the_tree_works(tree):
    """An anyio scope cancels again and again until it is left; the tree stops politely all the same."""
    log = []
    with anyio.CancelScope() as scope:
        async with tree([probe("a", log)]):
            scope.deadline = anyio.current_time()
            await anyio.sleep_forever()
    assert scope.cancelled_caught
    assert log[-1] == "end a: shutdown"
    await asyncio.sleep(0)


async def test_a_supervisor_runs_once(tree):
    """Build a fresh one."""
    root = tree([probe("a")])
    async with root:
        pass
    with pytest.raises(RuntimeError, match="runs once"):
        async with root:
            pytest.fail("the body must not run")


async def test_a_child_supervisor_must_be_fresh_as_well(tree):
    """A `make` that returns one that has run fails the start."""
    used = tree([probe("a")])
    async with used:
        pass
    with pytest.raises(StartFailed, match="runs once"):
        async with tree([Child("used", lambda: used)]):
            pytest.fail("the body must not run")


async def test_two_trees_in_one_process_never_meet(tree, clock):
    """Same names, no shared state: one crashes for good, the other does not notice."""
    async with tree([probe("a"), Child("tasks", TaskSupervisor)], name="left") as left:
        with pytest.raises(SupervisorGaveUp):
            async with tree(
                [probe("a"), Child("tasks", TaskSupervisor)], name="right", max_restarts=0
            ) as right:
                right.child("tasks").instance.start("x", forever())
                handle = left.child("tasks").instance.start("x", forever())
                await clock.settle()
                await give_up(right)
        assert handle.exit is None
        assert await left.child("a").call(Get()) == 0
        assert left.tree().children[0].restarts == 0


async def test_a_tree_inside_a_task_of_another_is_left_alone_by_it(tree, clock):
    """Its processes belong to itself, although a task of the outer one started it."""
    inner = tree([probe("leaf")], name="inner")

    async def service():
        async with inner:
            await forever()

    async with tree([Child("tasks", TaskSupervisor)], name="outer") as outer:
        handle = outer.child("tasks").instance.start("service", service())
        await clock.settle()
        assert inner.child("leaf").alive
        handle.cancel()
        await handle.down()
        assert handle.exit == Shutdown()
        assert not inner.child("leaf").alive


def test_asyncio_run_cleans_up_a_tree_that_was_left_running(tree):
    """A cancel of every task, as asyncio.run() does at its end, stops the tree in its order."""
    log = []
    root = tree([probe("a", log), Child("inner", lambda: Supervisor([probe("leaf", log)]))])

    async def main():
        await root.__aenter__()

    asyncio.run(main())
    assert sorted(entry[:8] for entry in log[2:]) == ["end a: c", "end leaf"]
    assert root.tree().state == "stopped"


async def test_cancels_of_the_supervisors_own_task_cut_no_shutdown_short(tree, clock):
    """However often somebody cancels every task he can find."""
    log = []

    class Slow(Probe):
        async def on_stop(self, how):
            await clock.sleep(1.0)
            log.append("done")

    async with tree([Child("slow", Slow)]) as root:
        process = root._process

        async def cancel():
            for _ in range(3):
                process.task.cancel()
                await clock.settle()
            await clock.advance(1.0)

        canceller = asyncio.create_task(cancel())
    await canceller
    assert log == ["done"]


async def test_a_root_that_is_entered_in_one_task_may_be_left_in_another(tree, clock):
    """As fixtures of test frameworks do."""
    root = tree([probe("a")])
    await asyncio.create_task(root.__aenter__())
    assert await root.child("a").call(Get()) == 0
    await asyncio.create_task(root.__aexit__(None, None, None))
    with pytest.raises(ActorDown):
        await root.child("a").call(Get())


async def test_the_body_is_not_cancelled_by_the_end_of_its_own_block(tree):
    """Leaving stops the root, which is no news."""
    async with tree([probe("a")]):
        pass
    await asyncio.sleep(0)
    assert asyncio.current_task().cancelling() == 0
