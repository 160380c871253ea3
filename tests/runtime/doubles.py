"""Stand-ins for the edges of the runtime: stores, IO managers and assets that do what a test needs."""

from __future__ import annotations

import asyncio

from flowstone import MemoryIO, StoreUnavailable
from flowstone.store.memory import MemoryStore

__all__ = ["BrokenIO", "Gate", "Meter", "UnreliableStore"]


class Gate:
    """A place where an asset waits until the test lets it go on.

    Attributes:
        entered: Set when somebody waits here.
    """

    def __init__(self):
        self.entered = asyncio.Event()
        self._opened = asyncio.Event()

    async def wait(self):
        self.entered.set()
        await self._opened.wait()

    def open(self):
        self._opened.set()


class Meter:
    """Counts who is inside at the same time: `async with meter`.

    Attributes:
        most: The largest number that was inside.
        total: How often it was entered.
    """

    def __init__(self):
        self.inside = self.most = self.total = 0

    async def __aenter__(self):
        self.total += 1
        self.inside += 1
        self.most = max(self.most, self.inside)
        return self

    async def __aexit__(self, *_):
        self.inside -= 1


class UnreliableStore(MemoryStore):
    """A store in memory whose calls can be made to fail, or to wait.

    Attributes:
        writes: Calls that change something, so far.
        down: Whether every write fails.
        blind: Whether nobody can look up what is current.
        fails_at: The number of the one write that fails.
        gates: Where a call of that name (of a write, its event's kind) waits before it does anything.
        after: Where a call of that name waits when it is done.
        closed: Whether it was closed.
    """

    def __init__(self):
        super().__init__()
        self.writes = 0
        self.down = False
        self.blind = False
        self.fails_at = None
        self.gates = {}
        self.after = {}
        self.closed = False

    async def close(self):
        self.closed = True

    async def create_run(self, run):
        await self._pass("create_run")
        await super().create_run(run)
        await self._done("create_run")

    async def claim(self, run_id, owner, *, epoch):
        await self._pass("claim")
        return await super().claim(run_id, owner, epoch=epoch)

    async def write(self, event, epoch=0, *, payload=None):
        await self._pass(event.kind)
        await super().write(event, epoch, payload=payload)
        await self._done(event.kind)

    async def write_many(self, events, epoch=0):
        await self._pass("write_many")
        await super().write_many(events, epoch)
        await self._done("write_many")

    async def runs(self, **options):
        if self.down:
            raise StoreUnavailable("the store is down")
        return await super().runs(**options)

    async def current(self, keys):
        if "current" in self.gates:
            await self.gates["current"].wait()
        if self.blind:
            raise StoreUnavailable("the store is down (current)")
        return await super().current(keys)

    async def _pass(self, what):
        self.writes += 1
        if what in self.gates:
            await self.gates[what].wait()
        if self.down or self.writes == self.fails_at:
            raise StoreUnavailable(f"the store is down ({what})")

    async def _done(self, what):
        if what in self.after:
            await self.after[what].wait()


class BrokenIO(MemoryIO):
    """An IO manager that raises `error` in the methods named in `broken`."""

    __slots__ = ("broken", "error")

    def __init__(self, error, *broken):
        super().__init__()
        self.error = error
        self.broken = set(broken)

    async def store(self, target, value):
        if "store" in self.broken:
            raise self.error
        return await super().store(target, value)

    async def load(self, location):
        if "load" in self.broken:
            raise self.error
        return await super().load(location)
