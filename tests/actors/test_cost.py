"""What happens to one child costs the same however many others there are: calls are counted, not seconds."""

from __future__ import annotations

import asyncio

import pytest

from flowstone.actors import Child, ChildError, Registry, Supervisor, TaskSupervisor
from flowstone.testing.clock import VirtualClock
from tests.actors.probes import Crash, Get, Probe, Quit, probe
from tests.counting import counted_calls

FEW, MANY = 20, 500
SLACK = 25
"""Calls more or less: of the weak set in which asyncio keeps its tasks, for one."""


class Watched(dict):
    """A dict that is walked through by generators, each step of which the profiler sees as a call."""

    def __iter__(self):
        yield from dict.__iter__(self)

    def values(self):
        return Values(self)


class Values:
    """The values of a `Watched`."""

    def __init__(self, watched):
        self.watched = watched

    def __iter__(self):
        for key in dict.__iter__(self.watched):
            yield self.watched[key]

    def __reversed__(self):
        for key in dict.__reversed__(self.watched):
            yield self.watched[key]


class Spawning(Probe):
    """Leaves a task behind, and a name."""

    registry = Registry()

    def on_start(self, me):
        super().on_start(me)
        self.task = asyncio.create_task(asyncio.sleep(10_000))
        self.registry.register(self.name, me.ref)


async def crash(root, clock):
    """The last child crashes, with its task and its name."""
    root.child("last").cast(Crash())
    await clock.settle()
    assert await root.child("last").call(Get()) == 0


async def quit_for_good(root, clock):
    """A significant child ends while others live."""
    root.child("main").cast(Quit())
    await clock.settle()
    await root.restart_child("main")


async def stop_and_start(root, clock):
    """A child is stopped, started, stopped, deleted and started again by name; somebody waits for its end."""
    await root.stop_child("main")
    await root.restart_child("main")
    watching = asyncio.create_task(root.child("main").down())
    await asyncio.sleep(0)
    await root.stop_child("main")
    await watching
    await root.delete_child("main")
    await root.start_child(probe("main", restart="transient", significant=True))


async def come_and_go(root, clock):
    """A temporary child is started, and ends."""
    ref = await root.start_child(probe("guest", restart="temporary"))
    ref.cast(Quit())
    await clock.settle()
    assert not ref.alive


async def give_up(root, clock):
    """A supervisor below gives up and is made again."""
    root.child("inner").instance.child("leaf").cast(Crash())
    await clock.settle()
    assert root.child("inner").instance.child("leaf").alive


async def cancel_a_task(root, clock):
    """One of many tasks is cancelled, and one killed."""
    tasks = root.child("tasks", TaskSupervisor).instance
    for end in ("cancel", "kill"):
        handle = tasks.start("one", asyncio.sleep(10_000))
        await asyncio.sleep(0)
        getattr(handle, end)()
        await clock.settle()
        assert handle.exit is not None


async def ask_for_nobody(root, clock):
    """A name that nobody has is looked up."""
    with pytest.raises(ChildError, match="has no child nobody"):
        root.child("nobody")


ACTIONS = [crash, quit_for_good, stop_and_start, come_and_go, give_up, cancel_a_task, ask_for_nobody]


async def cost(action, strategy, others):
    """The calls that this takes beside so many other children and tasks."""
    clock = VirtualClock(settle=40)
    children = [
        probe("main", restart="transient", significant=True),
        *(probe(f"other {number}") for number in range(others)),
        probe("another", restart="transient", significant=True),
        Child("inner", lambda: Supervisor([probe("leaf")], max_restarts=0)),
        Child("tasks", TaskSupervisor),
        Child("last", lambda: Spawning("last", [])),
    ]
    options = {"strategy": strategy, "max_restarts": 100, "auto_shutdown": "all_significant"}
    async with Supervisor(children, clock=clock, on_report=str, **options) as root:
        for _ in range(others):
            root.child("tasks").instance.start("sleeper", asyncio.sleep(10_000))
        entries = root._process.children.entries = Watched(root._process.children.entries)
        assert len(entries) == others + 5
        await clock.settle()
        await action(root, clock)  # Whatever happens the first time only.
        with counted_calls() as calls:
            await action(root, clock)
        return calls[0]


@pytest.mark.parametrize("action", ACTIONS, ids=lambda action: action.__name__)
async def test_what_happens_to_one_child_costs_the_same_among_many(action):
    """Its end, its restart, its names, who waits for it: none is looked for among the others."""
    assert await cost(action, "one_for_one", MANY) <= await cost(action, "one_for_one", FEW) + SLACK


async def test_a_restart_of_the_rest_costs_what_the_rest_costs():
    """rest_for_one walks back from the youngest child to the one that failed, and no further."""
    assert await cost(crash, "rest_for_one", MANY) <= await cost(crash, "rest_for_one", FEW) + SLACK
