"""Several nodes of one process on one database in memory, under one virtual clock."""

from __future__ import annotations

import asyncio
from random import Random

from flowstone import Context, DailyPartitions, Pipeline, Runtime
from flowstone.io.manager import Stored
from flowstone.runs.events import StepSucceeded
from tests.store.shared_memory import SharedMemory

__all__ = ["LEASE", "SharedIO", "Town"]

LEASE = 15.0
WEEK = DailyPartitions("2025-01-01", "2025-01-07")


class SharedIO:
    """Keeps values where every node of the test reaches them."""

    def __init__(self):
        self.values = {}

    async def store(self, target, value):
        location = f"{target.asset}/{target.partition_key}/{target.run_id}/{target.attempt}"
        assert location not in self.values, f"{location} was stored twice"
        self.values[location] = value
        return Stored(location)

    async def load(self, location):
        return self.values[location]

    async def delete(self, location):
        self.values.pop(location, None)

    async def exists(self, location):
        return location in self.values


class Town:
    """The nodes, and what they did.

    Attributes:
        starts: (node, asset, day or None, attempt) of every start of an asset's function, in order.
        gates: Where a step waits, by (asset, day) or (node, asset, day).
    """

    def __init__(self, clock):
        self.clock = clock
        self.shared = SharedMemory(clock)
        self.io = SharedIO()
        self.starts = []
        self.gates = {}
        self.stores = {}
        self.runtimes = {}
        self._entered = {}

    async def __aenter__(self):
        return self

    async def __aexit__(self, *failure):
        for gate in self.gates.values():
            gate.open()
        for store in self.stores.values():
            if store._broken == "frozen":
                store.mend()
        for name in reversed(tuple(self._entered)):
            await self.leave(name)

    async def node(self, name, pipeline=None, **options):
        """Another node, entered."""
        runtime = self.made(name, pipeline, **options)
        await runtime.__aenter__()
        self._entered[name] = runtime
        await self.clock.settle()
        return runtime

    async def leave(self, name):
        """The node stops, politely."""
        await self.outcome(self.leaving(name), step=0.05)

    def leaving(self, name):
        """What `leave` does, without moving time."""
        return self._entered.pop(name).__aexit__(None, None, None)

    def made(self, name, pipeline=None, **options):
        """Another node, not yet entered."""
        self.stores[name] = self.shared.connect()
        options = {"cancel_timeout": 0.2, "shutdown_timeout": 0.0, "lease": LEASE, **options}
        self.runtimes[name] = Runtime(
            self.pipeline(name) if pipeline is None else pipeline,
            store=self.stores[name],
            io=options.pop("io", {"default": self.io}),
            clock=self.clock,
            random=Random(len(self.stores)),
            **options,
        )
        return self.runtimes[name]

    def pipeline(self, node):
        """`raw` and `clean` by day, and `one` without partitions; `clean` needs `raw`."""
        pipeline = Pipeline("town")

        async def visit(asset, context):
            day = None if context.partition is None else context.partition.day
            self.starts.append((node, asset, day, context.attempt))
            for key in ((asset, day), (node, asset, day)):
                if key in self.gates:
                    await self.gates[key].wait()

        @pipeline.asset(partitions=WEEK)
        async def raw(context: Context) -> int:
            await visit("raw", context)
            return context.partition.day

        @pipeline.asset(partitions=WEEK)
        async def clean(context: Context, raw: int) -> int:
            await visit("clean", context)
            return raw * 10

        @pipeline.asset
        async def one(context: Context) -> str:
            await visit("one", context)
            return node

        return pipeline

    async def die(self, name):
        """The node is cut off, and its lease runs out."""
        self.stores[name].cut()
        await self.clock.advance(LEASE + 0.1)

    def owner(self, run_id):
        """The node that owns a run, by the name that the test gave it; None if nobody does."""
        owner = self.shared.history.find(run_id).head().owner
        return next((name for name, store in self.stores.items() if store.node == owner), owner)

    def status(self, run_id):
        return self.shared.history.find(run_id).head().status

    def successes(self, run_id):
        """Per step, how often a success was recorded."""
        counts = {}
        for _, event in self.shared.history.find(run_id).log.page(0, 100_000):
            if isinstance(event, StepSucceeded):
                key = event.asset, event.partition_key
                counts[key] = counts.get(key, 0) + 1
        return counts

    async def until(self, condition, seconds=60.0, step=0.25):
        """Move time on until `condition()` is true; fail if it is not after so many seconds."""
        await self.clock.settle()
        for _ in range(int(seconds / step)):
            if condition():
                return
            await self.clock.advance(step)
        assert condition(), "it did not become so"

    async def outcome(self, awaitable, seconds=60.0, step=0.25):
        """What comes of something that takes virtual time."""
        task = awaitable if isinstance(awaitable, asyncio.Task) else asyncio.create_task(awaitable)
        try:
            await self.until(task.done, seconds, step)
            return await task
        finally:
            if not task.done():
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
