"""Any tree, anything that happens to it: what must hold whatever the order."""

from __future__ import annotations

import asyncio
import contextlib

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flowstone.actors import ActorError, Child, Supervisor, SupervisorGaveUp, TaskSupervisor
from flowstone.testing.clock import VirtualClock
from tests.actors.probes import Add, Boom, Crash, Get, Probe, Quit

NAMES = "abcdef"
SHUTDOWNS = st.sampled_from([0.0, 1.0, 5.0, "kill"])


class Moody(Probe):
    """Starts slowly, fails to start while `trouble` says so, stops slowly, spawns tasks."""

    def __init__(self, name, log, trouble, clock, slow):
        super().__init__(name, log)
        self.trouble, self.clock, self.slow = trouble, clock, slow

    async def on_start(self, me):
        self.me = me
        if self.slow:
            await self.clock.sleep(0.3)
        if self.trouble and self.trouble.pop():
            raise Boom("in on_start")
        self.task = asyncio.create_task(asyncio.sleep(10_000))

    async def on_stop(self, how):
        if self.slow:
            await self.clock.sleep(0.7)


class World:
    """One run: a tree, a log, and a list of answers that somebody waits for."""

    def __init__(self, root_options, specs):
        self.clock = VirtualClock()
        self.log: list[tuple[str, str]] = []
        self.trouble: list[bool] = []
        self.waiting: list[asyncio.Task] = []
        children = [self.child(name, *spec) for name, spec in zip(NAMES, specs, strict=False)]
        self.root = Supervisor(children, clock=self.clock, on_report=str, **root_options)

    def child(self, name, kind, restart, shutdown, slow):
        def end(how):
            self.log.append(("end", name))

        def make():
            self.log.append(("start", name))
            if kind == "actor":
                return Moody(name, self.log, self.trouble, self.clock, slow)
            if kind == "tasks":
                return TaskSupervisor()
            leaf = self.child(f"{name}-leaf", "actor", "permanent", shutdown, slow)
            return Supervisor([leaf], max_restarts=1)

        return Child(name, make, restart=restart, shutdown=shutdown, on_exit=end)

    def counted(self):
        """What the supervisor counts as it goes must be what there is."""
        children = self.root._process.children
        active = [entry for entry in children.entries.values() if entry.active]
        assert children.counts.dynamic == sum(entry.dynamic for entry in active)
        assert children.counts.significant == sum(entry.child.significant for entry in active)

    async def act(self, step):
        """One thing happens; what a user would be told is no failure."""
        self.counted()
        action, name, number = step
        with contextlib.suppress(ActorError):
            match action:
                case "crash":
                    self.target(name).cast(Crash())
                case "quit":
                    self.target(name).cast(Quit())
                case "kill":
                    process = self.target(name)._process
                    if process is not None:
                        process.begin_stop("kill")
                case "call":
                    self.wait_for(self.target(name).call(Get()))
                    self.target(name).cast(Add())
                case "task":
                    tasks = self.root.child(name).instance
                    if isinstance(tasks, TaskSupervisor):
                        tasks.start("one", asyncio.sleep(10_000))
                case "stop":
                    self.wait_for(self.root.stop_child(name))
                case "restart":
                    self.wait_for(self.root.restart_child(name))
                case "delete":
                    self.wait_for(self.root.delete_child(name))
                case "start":
                    spec = ("actor", "temporary", 1.0, bool(number % 2))
                    self.wait_for(self.root.start_child(self.child(f"new{number}", *spec)))
                case "trouble":
                    self.trouble += [True] * number
                case "time":
                    await self.clock.advance(number / 4)
                case "turn":
                    await asyncio.sleep(0)

    def target(self, name):
        """The actor of that name, or the leaf below it."""
        ref = self.root.child(name)
        return ref.instance.child(f"{name}-leaf") if isinstance(ref.instance, Supervisor) else ref

    def wait_for(self, answer):
        self.waiting.append(asyncio.create_task(answer))

    async def run(self, steps):
        """Live through it all."""
        flight = None
        with contextlib.suppress(ActorError, SupervisorGaveUp):
            start = asyncio.create_task(self.clock.advance(5.0))
            async with self.root:
                await start
                for step in steps:
                    await self.act(step)
                flight = asyncio.create_task(self.clock.advance(1000.0))
        await start
        await (flight or self.clock.advance(1000.0))
        return await asyncio.gather(*self.waiting, return_exceptions=True)


KINDS = st.sampled_from(["actor", "actor", "actor", "supervisor", "tasks"])
RESTARTS = st.sampled_from(["permanent", "transient", "temporary"])
SPECS = st.lists(st.tuples(KINDS, RESTARTS, SHUTDOWNS, st.booleans()), min_size=1, max_size=len(NAMES))
ACTIONS = [
    "crash",
    "quit",
    "kill",
    "call",
    "task",
    "stop",
    "restart",
    "delete",
    "start",
    "trouble",
    "time",
    "turn",
]
STEPS = st.lists(st.tuples(st.sampled_from(ACTIONS), st.sampled_from(NAMES), st.integers(0, 4)), max_size=25)
OPTIONS = st.fixed_dictionaries(
    {
        "strategy": st.sampled_from(["one_for_one", "rest_for_one", "one_for_all"]),
        "max_restarts": st.sampled_from([0, 2, 50]),
    }
)


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(options=OPTIONS, specs=SPECS, steps=STEPS)
def test_whatever_happens_the_tree_stays_whole_and_ends(options, specs, steps):
    """No two incarnations at a time, none without an end, no task left, no caller left waiting."""
    unhandled: list[dict] = []

    async def main():
        asyncio.get_running_loop().set_exception_handler(lambda _, context: unhandled.append(context))
        world = World(options, specs)
        outcomes = await world.run(steps)
        left = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        return world, outcomes, left

    world, outcomes, left = asyncio.run(main())
    assert left == []
    assert unhandled == []
    assert world.root.tree().state == "stopped"
    assert [info for info in world.root.tree().walk() if info.state in {"running", "starting"}] == []
    for outcome in outcomes:
        assert not isinstance(outcome, BaseException) or isinstance(outcome, ActorError)
    for name in {name for _, name in world.log}:
        events = [event for event, named in world.log if named == name]
        assert events == ["start", "end"] * (len(events) // 2), f"{name}: {events}"
