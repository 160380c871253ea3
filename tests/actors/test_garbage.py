"""What has ended leaves nothing to the garbage collector: reference counts free all of it, at once."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from functools import partial

import pytest

from flowstone.actors import Actor, Child, Rejected, Runnable, Supervisor, SystemClock, TaskSupervisor
from tests.actors.probes import Crash, Do, probe
from tests.garbage import garbage_of


class Worker(Actor):
    """Keeps what it is given of itself, sets timers that fire and timers that do not, and ends."""

    def on_start(self, me):
        self.me = me
        me.clock.call_later(1.0, self.end)
        me.clock.call_later(60.0, self.end)

    def handle(self, message):
        raise Rejected("no")

    def end(self):
        self.me.stop()


class Server(Runnable):
    """Serves until it is told to stop."""

    async def run(self, started):
        self.stopped = asyncio.get_running_loop().create_future()
        started()
        await self.stopped

    def stop(self):
        self.stopped.set_result(None)


async def make_server():
    """Build a server, in a coroutine."""
    return Server()


def group(done=None):
    """A supervisor with one child of each kind; it ends when its worker has."""
    children = [
        Child("tasks", TaskSupervisor),
        Child("server", make_server),
        Child("worker", Worker, restart="transient", significant=True),
    ]
    make = partial(Supervisor, children, strategy="one_for_all", auto_shutdown="any_significant")
    return Child("group", make, restart="temporary", on_exit=None if done is None else done.set_result)


async def test_a_group_that_ends_by_itself(tree, clock):
    """As a run does: its significant child ends, and the others with it."""
    async with tree([]) as root:

        async def once():
            done = asyncio.get_running_loop().create_future()
            await root.start_child(group(done))
            await clock.advance(1.0)
            await done
            await clock.settle()

        assert await garbage_of(once) == {}


async def test_a_group_that_is_stopped(tree, clock):
    """From above, while all its children run."""
    async with tree([]) as root:

        async def once():
            await root.start_child(group())
            await root.stop_child("group")
            await clock.settle()

        assert await garbage_of(once) == {}


async def test_an_actor_that_crashes_and_is_restarted(tree, clock):
    """Nor does the incarnation that crashed."""
    async with tree([probe("a", restart="permanent")], max_restarts=1000) as root:
        ref = root.child("a")

        async def once():
            ref.cast(Crash())
            await clock.settle()
            await ref.call(Do(lambda: None))

        assert await garbage_of(once) == {}


@pytest.mark.parametrize("make", [TaskSupervisor, Supervisor])
async def test_a_tree_of_its_own(make):
    """With nothing above it."""

    async def once():
        async with make() as tree:
            if isinstance(tree, TaskSupervisor):
                await tree.start("task", asyncio.sleep(0)).down()
            else:
                await tree.start_child(probe("a"))

    assert await garbage_of(once) == {}


@pytest.mark.parametrize("end", ["returns", "raises", "is cancelled", "is killed"])
async def test_a_task(end, clock):
    """However it ends, and whoever hears of it."""

    async def body():
        if end == "raises":
            raise ValueError
        if end != "returns":
            await asyncio.get_running_loop().create_future()

    async with TaskSupervisor(clock=clock) as tasks:

        async def once():
            task = tasks.start("task", body(), lambda handle, how: None)
            await clock.settle()
            with suppress(ValueError):
                {"is cancelled": task.cancel, "is killed": task.kill}.get(end, str)()
            await task.down()
            await clock.settle()

        assert await garbage_of(once) == {}


async def test_a_timer_of_the_system_clock():
    """Fired, cancelled before, or cancelled afterwards."""

    async def once():
        fired = asyncio.get_running_loop().create_future()
        clock = SystemClock()
        timer = clock.call_later(0.0, lambda: fired.set_result(None))
        clock.call_later(60.0, str).cancel()
        await fired
        timer.cancel()

    assert await garbage_of(once) == {}
