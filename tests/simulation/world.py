"""A world of one seed: nodes on one database, what they compute, and what goes wrong.

it begins           two or three nodes, a swarm of faults, requests at random instants
it goes wrong       for some virtual seconds; what must be true at every instant is looked at all the time
it comes to rest    no fault any more; all runs must end, and nothing may be left, within some minutes
it ends             every node stops politely; nobody may have left an error behind
"""

from __future__ import annotations

import asyncio
import gc
import logging
import sys
import traceback
import warnings
from collections import Counter
from contextvars import Context as Variables
from dataclasses import dataclass, field
from datetime import UTC, datetime
from random import Random
from unittest.mock import patch

from flowstone.actors.supervisor_context import SupervisorContext
from flowstone.testing.simulation.clock import LoopClock
from flowstone.testing.simulation.loop import SimulationLoop
from tests.simulation import invariants
from tests.simulation.automatic import Automatic
from tests.simulation.faults import Faults
from tests.simulation.nodes import LEASE, Node
from tests.simulation.values import SimulatedValues
from tests.simulation.workload import GAP, approve, pipeline_of, request
from tests.store.shared_memory import SharedMemory

__all__ = ["Outcome", "World", "live"]

BEGINNING = datetime(2025, 1, 6, 23, 59, 54, tzinfo=UTC)  # It is soon a full minute.
BUDGET = 400_000  # Steps.
REST = 240.0  # Virtual seconds in which everything must end.


@dataclass
class Outcome:
    """What came of a seed.

    Attributes:
        seed: The seed.
        failure: What was wrong, or None.
        story: If something was: the faults, and the last steps.
        steps: Steps taken.
        seconds: Virtual seconds that passed.
        digest: The same for the same run.
        injected: How often each fault happened.
        runs: How many runs there were.
    """

    seed: int
    failure: str | None = None
    story: str = ""
    steps: int = 0
    seconds: float = 0.0
    digest: int = 0
    injected: Counter = field(default_factory=Counter)
    runs: int = 0


class World:
    """See above.

    Args:
        seed: Decides everything.
        trace: Whether the outcome has a digest.
    """

    def __init__(self, seed, *, trace=False):
        self.seed = seed
        self.random = Random(f"world {seed}")
        self.faults = Faults(Random(f"faults {seed}"))
        self.loop = SimulationLoop(
            seed=seed,
            order=("fifo", "shuffle", "priorities", "fifo")[seed % 4],
            cost=self.random.choice([0.0, 0.0001]),
            budget=BUDGET,
            trace=trace,
        )
        self.variables = Variables()  # The world's own.
        self.beginning = BEGINNING
        self.shared = SharedMemory(LoopClock(self.loop, BEGINNING))
        self.values = SimulatedValues()
        self.shared.history = invariants.WatchedHistory(self.shared, self)
        self.shared.leases = invariants.WatchedLeases()
        self.away = 0.0  # Until when the database is, for everybody.
        self.upset = 0.0  # When whoever is paused goes on, and whoever is dead is replaced.
        self.writer = None  # The node whose record the database takes in.
        self.acknowledged = {}
        self.asked = []  # Whoever asked for something: process and task.
        self.options = {
            "lost_attempts": 100,
            "max_concurrency": self.random.choice([1, 2, 6, 6]),
            "keep_versions": self.random.choice([1, 20]),
            "keep_runs": self.random.choice([3, 1000, 1000]),
        }
        self.tokens = {}
        self.counts = Counter()
        self.in_pool = Counter()
        self.is_punctual = not {"slow", "clock", "pause", "outage", "before", "after"} & set(
            self.faults.kinds
        )
        self.automates = self.random.random() < 0.5
        self.arrived = 0  # What the sensor finds: the numbers up to this one.
        self.automatic = Automatic(lambda words: self.violated(invariants.Violation(words)))
        self.turns = []  # When a step began that keeps to the rate.
        self.well_since = {}  # By process: since when it has beaten without a gap.
        self.pipeline = None
        self.nodes = []
        self.notes = []
        self.unhandled = []
        self.violation = None
        self.loop.set_exception_handler(lambda _, context: self.unhandled.append(context))

    # What its parts use -------------------------------------------------------------------------------------

    def later(self, seconds, call):
        """Have the world do something, whoever asks for it."""
        self.loop.call_later(seconds, call, context=self.variables).process = None

    def violated(self, violation):
        """Something is not as it must be, seen in the middle of whatever: the world ends with the next look."""
        self.violation = self.violation or violation

    def note(self, what):
        """For the story."""
        self.notes.append(f"{self.loop.time():10.3f}  {what}")
        del self.notes[:-100]

    def is_well(self, process):
        """Whether a process may hold slots: it lives, goes on, and has beaten in time."""
        return any(
            node.process.name == process and node.runs and self.shared.alive(node.store.inner.node)
            for node in self.nodes
        )

    def look_at_nodes(self):
        """Note who is well; who has been so for long, and sees others who have, takes none of them for dead."""
        now, long = self.loop.time(), []
        for node in self.nodes:
            name = node.process.name
            row = None if node.store is None else self.shared.nodes.get(node.store.inner.node)
            if not node.usable or row is None or row.left or now - row.beaten > 0.7 * LEASE:
                self.well_since[name] = now
            elif now - self.well_since.setdefault(name, now) > 1.5 * LEASE:
                long.append(node)
        for observer in long:
            for node in long:
                if observer is not node and observer.runtime._ctx.peers.gone(node.runtime.node):
                    raise invariants.Violation(f"{observer.name} takes {node.name} for dead, which lives")

    def reported(self, kind, path, child, why):
        """A supervisor reports: its children end when they are told to, and at no other time."""
        if kind not in {"shutdown_error", "abandoned"}:
            self.violated(invariants.Violation(f"{path}: {child}: {kind}: {why}"))

    def take_turn(self):
        """A step begins that keeps to the rate: as nothing is slow, no sooner after another than it says."""
        if self.is_punctual:
            now = self.loop.time()
            if self.turns and now - self.turns[-1] < GAP - 0.05:
                self.violated(
                    invariants.Violation(f"{now - self.turns[-1]:.3f} s between two turns of a rate")
                )
            self.turns.append(now)

    async def compute(self, context, *inputs, pool=None):
        """The function of every asset: it takes a while, and may raise."""
        for value in inputs:
            assert value["whole"] is True
        name = self.loop.current.name
        if pool:
            self.in_pool[name] += 1
            invariants.now(self)
        try:
            await asyncio.sleep(self.random.choice([0.0, 0.01, 0.2, 1.0, 2.0, 5.0]) * self.random.random())
            if self.faults.strikes("raises"):
                raise ValueError("the source is away")
        finally:
            if pool:
                self.in_pool[name] -= 1
        return {
            "asset": context.asset,
            "partition": context.partition and str(context.partition),
            "whole": True,
            "made": self.random.randrange(3),  # An equal value is no change.
        }

    async def counted(self, _token=None):
        """Something that may be done again, if nobody knows that it was done."""
        return 1

    async def hear(self, event):
        """The listener is told of something; it may fail, and is then told again."""
        await asyncio.sleep(self.random.uniform(0.0, 0.5))
        if self.faults.strikes("raises"):
            raise ValueError("nobody listens")
        self.automatic.heard(event)

    def check_manifest(self, event, record):
        """A value that the IO manager does not keep as it is: of items, whose values it keeps."""
        history = self.shared.history
        table = history.items.get((event.run_id, event.asset, event.partition_key))
        if table is None:
            raise invariants.Violation(
                f"{record.name} of {event.run_id} has no whole value at {record.location}"
            )

    # Its life -----------------------------------------------------------------------------------------------

    async def live(self):
        self.pipeline = pipeline_of(self)
        self.nodes = [Node(self, f"n{number}") for number in range(1, 3 + self.random.randrange(2))]
        busy = self.random.uniform(3.0, 8.0)
        tasks = [
            self.loop.create_task(coroutine, name=name)
            for name, coroutine in (("clients", self._clients(busy)), ("nemesis", self._nemesis(busy)))
        ]
        watching = self.loop.create_task(self._watch(), name="watch")
        people = self.loop.create_task(self._people(), name="people")
        await self._while_well(_all(tasks), watching)
        await self._while_well(self._come_to_rest(), watching)
        people.cancel()
        await self._while_well(self._end(), watching)
        watching.cancel()

    async def _while_well(self, coroutine, watching):
        task = self.loop.create_task(coroutine)
        await asyncio.wait([task, watching], return_when=asyncio.FIRST_COMPLETED)
        if watching.done():
            watching.result()
        await task

    async def _watch(self):
        while True:
            await asyncio.sleep(0.1)
            invariants.now(self)
            self.look_at_nodes()
            self.look_for_errors()

    def look_for_errors(self):
        """Nobody may leave an error behind."""
        if self.violation:
            raise self.violation
        if self.unhandled:
            context = self.unhandled[0]
            error = context.get("exception")
            raise invariants.Violation(f"nobody handled: {context['message']}: {error!r}") from error

    async def _clients(self, busy):
        until = self.loop.time() + busy
        while self.loop.time() < until:
            await asyncio.sleep(self.random.expovariate(1.4))
            self.arrived += self.random.randrange(2)
            usable = [node for node in self.nodes if node.usable]
            if usable:
                self._ask(self.random.choice(usable))

    def _ask(self, node):
        what, call = request(self)
        cancels, waits = self.random.random() < 0.1, self.random.random() < 0.5

        async def asked(runtime):
            run = await call(runtime)
            if run is None:
                return
            self.acknowledged[run.id] = what
            if cancels:
                await asyncio.sleep(self.random.uniform(0.0, 4.0))
                await run.cancel()
            if waits:
                await run.wait()

        node.ask(asked, what)

    async def _people(self):
        while True:
            await asyncio.sleep(self.random.uniform(0.5, 3.0))
            usable = [node for node in self.nodes if node.usable]
            if usable:
                self.random.choice(usable).ask(lambda runtime: approve(self, runtime), "people")

    async def _nemesis(self, busy):
        until = self.loop.time() + busy
        kinds = self.faults.of_nodes
        while kinds and self.loop.time() < until:
            await asyncio.sleep(self.random.uniform(0.2, 3.5))
            kind = self.random.choice(kinds)
            self.faults.happened(kind)
            self._happens(kind, self.random.choice(self.nodes))

    def _happens(self, kind, node):
        self.note(f"{kind} of {node.process.name}")
        match kind:
            case "kill":
                node.kill()
                self._mended(self.random.choice([0.1, 1.0, LEASE, 2 * LEASE]), node.start)
            case "pause":
                process = node.process
                process.pause()
                self._mended(self.random.choice([0.3, 2.0, LEASE + 2.0, 2.0 * LEASE]), process.resume)
            case "stop":
                node.asked_to_stop.set()
                self._mended(self.random.uniform(1.0, 8.0), lambda: self._replace(node))
            case "outage":
                until = self.loop.time() + self.random.choice([0.5, 3.0, LEASE + 1.0, 2.5 * LEASE])
                self.upset = max(self.upset, until)
                if self.random.random() < 0.5 or node.store is None:
                    self.away = until
                else:
                    node.store.away = until
            case "clock":
                if (
                    self.random.random() < 0.3
                ):  # A deadline is an instant of this clock: so much later it may be.
                    self.shared.ahead += self.random.choice([-20.0, -5.0, 5.0, 60.0, 7200.0])
                else:
                    node.clock.step(self.random.choice([-7200.0, -60.0, -5.0, 5.0, 60.0, 7200.0]))

    def _mended(self, seconds, call):
        """So much later it is mended, by this call."""
        self.upset = max(self.upset, self.loop.time() + seconds)
        self.later(seconds, call)

    def _replace(self, node):
        """One that does not stop is killed, as a service manager does."""
        node.kill()
        node.start()

    async def _come_to_rest(self):
        self.faults.on = False
        now = self.loop.time()
        await asyncio.sleep(max(0.0, self.upset - now) + self.random.choice([1.0, 1.0, 3.0, 2.0 * LEASE]))
        until = self.loop.time() + REST
        while (left := invariants.at_the_end(self)) is not None:
            if self.loop.time() > until:
                raise invariants.Violation(f"{REST:g} s after the last fault {left}")
            await asyncio.sleep(0.5)

    async def _end(self):
        for node in self.nodes:
            node.asked_to_stop.set()
        until = self.loop.time() + 30.0
        while not all(node.task.done() for node in self.nodes):
            if self.loop.time() > until:
                raise invariants.Violation("a node does not stop")
            await asyncio.sleep(0.1)
        for node in self.nodes:
            node.task.result()
        self.look_for_errors()
        invariants.now(self)


async def _all(tasks):
    await asyncio.gather(*tasks)


def live(seed, *, trace=False):
    """Live through the world of a seed."""
    world = World(seed, trace=trace)
    loop = world.loop
    outcome = Outcome(seed)
    logging.disable(logging.CRITICAL)
    gc.disable()
    try:
        with patch.object(SupervisorContext, "report", _told_to(world)):
            loop.run_until_complete(world.live())
        world.look_for_errors()
    except Exception as error:  # Whatever it is, it is a finding.
        outcome.failure = f"{type(error).__name__}: {error}"
        outcome.story = _story(world, error)
    finally:
        outcome.steps, outcome.seconds, outcome.digest = loop.steps, loop.time(), loop.digest
        outcome.injected = world.faults.injected
        outcome.runs = len(world.shared.history._order)
        _bury(world)
        gc.enable()
        logging.disable(logging.NOTSET)
    return outcome


def _told_to(world):
    """What supervisors report is told to the world."""

    def report(own, kind, child, why=None):
        world.reported(kind, own.path, child, why)

    return report


def _bury(world):
    """Free what was killed or left in silence: its `finally` would run now, on a loop that is over."""
    loop = world.loop
    loop.set_exception_handler(None)
    hook, sys.unraisablehook = sys.unraisablehook, lambda _: None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            world.__dict__.clear()
            loop.dispose()
            gc.collect()
    finally:
        sys.unraisablehook = hook


def _story(world, error):
    lines = [
        f"seed {world.seed}: {type(error).__name__}: {error}",
        f"faults: {', '.join(world.faults.kinds)}",
        "what happened:",
        *world.notes[-30:],
        "the last steps:",
        world.loop.story(50),
    ]
    cause = error.__cause__ or error
    lines.append("".join(traceback.format_exception(cause))[-4000:])
    return "\n".join(lines)
