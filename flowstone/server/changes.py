"""Something has happened: one subscription that wakes all who show what is on record.

Each open page would be told of each event, thousands of them in a second, only to look again ten times in that
second. So whoever shows something is told once, and then no more until it has looked again: an event costs the
same, however many look.
"""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from flowstone.runtime.runtime import Runtime
    from flowstone.runtime.services.events import Subscription

__all__ = ["Changes", "Ear"]


class Ear:
    """One who looks again when something has happened.

    Args:
        changes: By whom it is told.
    """

    def __init__(self, changes: Changes) -> None:
        self._changes = changes
        self._heard = asyncio.Event()

    @property
    def ended(self) -> bool:
        """Whether the runtime has stopped, so that nothing will happen any more."""
        return self._changes.ended

    def look(self) -> None:
        """Before it looks: what happens from now on is news."""
        self._heard.clear()
        self._changes.tell(self)

    async def wait(self) -> None:
        """Return when something has happened since it looked, or the runtime has stopped."""
        await self._heard.wait()

    def tell(self) -> None:
        """Something has happened."""
        self._heard.set()


class Changes:
    """What happens in a runtime, for all who show it; listens for as long as somebody does.

    Args:
        runtime: The runtime.
    """

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._listening = 0
        self._untold: set[Ear] = set()
        self._events: Subscription | None = None
        self._held = AsyncExitStack()

    @property
    def listening(self) -> int:
        """How many would be told."""
        return self._listening

    @property
    def ended(self) -> bool:
        """Whether the runtime has stopped."""
        return self._events is not None and self._events.ended

    @asynccontextmanager
    async def heard(self) -> AsyncIterator[Ear]:
        """Inside, what happens is heard of."""
        ear = Ear(self)
        if self._events is None:
            async with AsyncExitStack() as entered:
                # Also of what is not recorded: progress, and the end of the runtime.
                events = await entered.enter_async_context(self._runtime.subscribe())
                events.on_offer = self._happened
                entered.enter_context(self._runtime.watch(self._happened))
                self._events, self._held = events, entered.pop_all()
        self._listening += 1
        try:
            yield ear
        finally:
            self._listening -= 1
            self._untold.discard(ear)
            if not self._listening:
                self._events = None
                held, self._held = self._held, AsyncExitStack()
                await held.aclose()

    def tell(self, ear: Ear) -> None:
        """Tell this one of what happens next."""
        assert self._events is not None
        self._events.taken()
        self._untold.add(ear)

    def _happened(self) -> None:
        if not self._untold or self._events is None:
            return
        self._events.taken()
        told, self._untold = self._untold, set()
        for ear in told:
            ear.tell()
