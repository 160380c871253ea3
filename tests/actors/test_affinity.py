"""A tree belongs to the event loop that started it: whoever speaks to it from elsewhere hears so at once."""

from __future__ import annotations

import asyncio

import pytest

from flowstone.actors import Actor, Child, Later, TaskSupervisor
from flowstone.errors import WrongLoop
from tests.actors.probes import Add, Get, Probe, probe


class Starts(Actor):
    """Keeps what it may know of itself."""

    def on_start(self, me):
        self.me = me

    def handle(self, message):
        return None


@pytest.fixture
async def root(tree):
    """A supervisor of a probe, an actor that knows itself, and a task that runs."""
    async with tree([probe("a"), Child("own", Starts), Child("work", TaskSupervisor)]) as root:
        root.task = root.child("work").instance.start("task", asyncio.Event().wait())
        yield root


CALLS = {
    "call": lambda root: root.child("a").call(Get()),
    "cast": lambda root: root.child("a").cast(Add(1)),
    "down": lambda root: root.child("a").down(),
    "stop oneself": lambda root: root.child("own").instance.me.stop(),
    "start_child": lambda root: root.start_child(probe("b")),
    "stop_child": lambda root: root.stop_child("a"),
    "restart_child": lambda root: root.restart_child("a"),
    "delete_child": lambda root: root.delete_child("a"),
    "down of a supervisor": lambda root: root.down(),
    "start a task": lambda root: root.child("work").instance.start("more", asyncio.sleep(0)),
    "stop tasks": lambda root: root.child("work").instance.stop(),
    "cancel a task": lambda root: root.task.cancel(),
    "kill a task": lambda root: root.task.kill(),
    "down of a task": lambda root: root.task.down(),
}


@pytest.mark.parametrize("name", CALLS)
async def test_on_another_loop_it_raises(root, name):
    """Nothing has happened then, and the error names the remedies."""

    async def there():
        found = CALLS[name](root)
        if asyncio.iscoroutine(found):
            await found

    async with asyncio.timeout(200):
        with pytest.raises(WrongLoop, match=r"run_coroutine_threadsafe.*call_soon_threadsafe"):
            await asyncio.to_thread(asyncio.run, there())
    assert root.count_children().active == 3
    assert root.task.exit is None
    assert await root.child("a", Probe).call(Get()) == 0


async def test_an_answer_is_sent_on_the_actors_loop():
    """`Later.send` raises on a thread: the caller would not be woken."""
    later = Later()
    with pytest.raises(WrongLoop, match="call_soon_threadsafe"):
        await asyncio.to_thread(later.send, 1)
    with pytest.raises(WrongLoop, match="call_soon_threadsafe"):
        await asyncio.to_thread(later.fail, ValueError())
    assert not later.answered


async def test_looking_at_a_tree_is_allowed_anywhere(root):
    """References, counts and snapshots wait for nothing."""
    ref = await asyncio.to_thread(root.child, "a")
    assert await asyncio.to_thread(ref.statistics) == ref.statistics()
    assert (await asyncio.to_thread(root.tree)).name == root.name
    assert (await asyncio.to_thread(root.count_children)).active == 3


async def test_who_stops_waiting_for_an_end_is_forgotten(root):
    """A thousand impatient callers leave nothing behind, at an actor as at a task."""
    for waiting in (root.child("a").down, root.task.down):
        for _ in range(10):
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0):
                    await waiting()
    assert len(root.child("a")._process._waiters) == 0
    assert len(root.task._waiters) == 0
