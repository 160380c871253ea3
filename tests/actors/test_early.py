"""What is begun before it is part of a tree is supervised like everything else once it is."""

from __future__ import annotations

import asyncio

import pytest

from flowstone.actors import Actor, Cast, Child, Normal, Shutdown, Supervisor, TaskSupervisor
from flowstone.actors.early import EarlyMe, begin_early, turn_is_spent


class Listener(Actor):
    """Hears what was said to it early, then what is said to it."""

    def __init__(self, early: EarlyMe) -> None:
        self._early = early
        self.heard: list[object] = []

    def on_start(self, me):
        self._early.become(me)

    def handle_continue(self, me):
        self._early.raise_error()

    def handle(self, message):
        self.heard.append(message.what)


class Say(Cast[Listener]):
    """A word."""

    def __init__(self, what):
        self.what = what


@pytest.fixture
async def root(tree):
    """A supervisor on the virtual clock."""
    async with tree() as root:
        yield root


async def test_tasks_that_were_begun_early_become_a_child(root, clock):
    """They go on in it, under the path that they had from the beginning, and stop with it."""
    tasks, ended = TaskSupervisor(shutdown=1.0), []

    async def wait():
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            ended.append(True)

    assert begin_early(tasks, root, "part.steps")
    handle = tasks.start("wait", wait())
    assert handle.supervisor.path == "root.part.steps"
    await asyncio.sleep(0)
    await root.start_child(Child("part", lambda: Supervisor([Child("steps", lambda: tasks)])))
    assert [each.name for each in root.tree().walk()] == ["root", "part", "steps", "wait"]
    assert handle.supervisor.path == "root.part.steps"
    await root.stop_child("part")
    assert ended == [True]
    assert handle.exit == Shutdown()


async def test_they_become_a_child_once(root):
    """As every task supervisor: a fresh one for each start."""
    tasks = TaskSupervisor()
    assert begin_early(tasks, root, "steps")
    await root.start_child(Child("steps", lambda: tasks))
    with pytest.raises(Exception, match="runs once"):
        await root.start_child(Child("again", lambda: tasks))


async def test_nothing_is_begun_below_a_supervisor_that_does_not_run(clock):
    """Neither before it has been started nor after it has ended."""
    root = Supervisor(clock=clock)
    assert not begin_early(TaskSupervisor(), root, "steps")
    async with root:
        assert begin_early(TaskSupervisor(), root, "steps")
    assert not begin_early(TaskSupervisor(), root, "steps")


async def test_messages_and_timers_wait_for_the_actor(root, clock):
    """In their order; what comes later goes straight to it."""
    early = EarlyMe(clock)
    early.cast(Say(1))
    early.ref.cast(Say(2))
    early.clock.call_later(5.0, lambda: early.cast(Say("timer")))
    listener = Listener(early)
    await root.start_child(Child("listener", lambda: listener))
    early.cast(Say(3))
    early.clock.call_later(1.0, lambda: early.cast(Say("later timer")))
    await clock.advance(10.0)
    assert listener.heard == [1, 2, 3, "later timer", "timer"]


async def test_an_actor_that_ended_itself_early_ends_when_it_is_started(root, clock):
    """Before it takes any message."""
    early = EarlyMe(clock)
    early.cast(Say(1))
    early.stop()
    listener, exits = Listener(early), []
    await root.start_child(
        Child("listener", lambda: listener, restart="temporary", on_exit=exits.append, mailbox=10)
    )
    await clock.settle()
    assert exits == [Normal()]
    assert listener.heard == []


async def test_an_early_error_is_a_crash(root, clock, reports):
    """The supervisor reports it and starts another one."""
    early = EarlyMe(clock)
    early.error = ZeroDivisionError("a bug")
    fresh = [Listener(early), Listener(EarlyMe(clock))]
    ref = await root.start_child(Child("listener", lambda: fresh.pop(0)))
    await clock.settle()
    assert ref.alive
    assert fresh == []
    assert [(report.kind, report.child) for report in reports] == [("crashed", "listener")]


async def test_a_turn_is_spent_when_eager_starts_have_taken_their_share(root):
    """And the next one is not."""
    tasks = TaskSupervisor()
    assert begin_early(tasks, root, "steps")
    assert not turn_is_spent(root)
    tasks._own.eager.budget = 0.0

    async def nothing():
        return None

    tasks.start("nothing", nothing(), eager=True)
    assert turn_is_spent(root)
    await asyncio.sleep(0)
    assert not turn_is_spent(root)


async def test_a_turn_is_spent_before_the_last_of_it_is_gone(root):
    """What begins when hardly anything is left would find nothing when it is ready."""
    now = 100.0
    tasks = TaskSupervisor()
    assert begin_early(tasks, root, "steps")
    tasks._own.eager._monotonic = lambda: now
    tasks._own.eager.budget = 1.0

    async def nothing():
        return None

    tasks.start("nothing", nothing(), eager=True)
    now = 100.7
    assert not turn_is_spent(root)
    now = 100.9
    assert turn_is_spent(root)
    assert tasks.start("nothing", nothing(), eager=True).exit is not None
