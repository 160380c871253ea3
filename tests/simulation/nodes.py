"""The nodes of a world: each a real runtime in a process that can be killed, stopped and replaced."""

from __future__ import annotations

import asyncio
from random import Random

from flowstone import Runtime
from flowstone.errors import FlowstoneError, StoreUnavailable
from flowstone.testing.simulation.clock import LoopClock
from flowstone.testing.simulation.process import ProcessState
from tests.simulation.shared_store import SimulatedStore
from tests.simulation.values import SimulatedIO

__all__ = ["LEASE", "Node"]

LEASE = 4.0


class Node:
    """A place in the world where one process after another runs a node.

    Attributes:
        name: Of the place.
        process: The one that runs now, or ran last.
        works: Whether it is a worker.
        runtime: Its runtime while that is entered, else None.
    """

    def __init__(self, world, name):
        self.name = name
        self.world = world
        self.lives = 0
        self.works = name == "n1" or world.random.random() < 0.85  # Else it only asks others, and automates.
        self.start()

    def start(self):
        """Another process, and in it another node."""
        self.lives += 1
        self.process = self.world.loop.process(f"{self.name}.{self.lives}")
        self.runtime = self.store = None
        self.clock = LoopClock(self.world.loop, self.world.beginning)
        self.asked_to_stop = asyncio.Event()
        self.task = self.process.spawn(self._live(), name=f"node {self.process.name}")

    async def _live(self):
        """As a service manager has it: what cannot begin is begun again."""
        while not self.asked_to_stop.is_set():
            runtime = self._runtime()
            try:
                async with runtime:
                    self.runtime = runtime
                    await self.asked_to_stop.wait()
                    self.runtime = None
            except StoreUnavailable as error:
                self.world.note(f"{self.process.name} could not begin, or end: {error}")
                await asyncio.sleep(1.0)

    def _runtime(self):
        world, random = self.world, Random(f"{self.world.seed} {self.process.name}")
        self.store = SimulatedStore(world, random)
        return Runtime(
            world.pipeline,
            store=self.store,
            io={"default": SimulatedIO(world, random)},
            clock=self.clock,
            random=random,
            lease=LEASE,
            worker=self.works,
            automate=world.automates,
            **world.options,
            cancel_timeout=0.5,
            shutdown_timeout=0.5,
        )

    # What is done to it -------------------------------------------------------------------------------------

    @property
    def runs(self):
        """Whether its process lives and is not stopped."""
        return self.process.state is ProcessState.RUNNING and not self.task.done()

    @property
    def usable(self):
        """Whether somebody can ask it for something."""
        return self.runs and self.runtime is not None and not self.asked_to_stop.is_set()

    def kill(self):
        """As `kill -9` does."""
        self.process.kill()
        self.runtime = None

    def ask(self, call, name):
        """Have its process do something with its runtime; what refuses is noted."""
        self.world.asked.append((self.process, self.process.spawn(self._asked(call), name=name)))

    async def _asked(self, call):
        try:
            return await call(self.runtime)
        except (FlowstoneError, TimeoutError) as error:
            self.world.note(f"{type(error).__name__}: {error}"[:200])
