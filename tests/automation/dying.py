"""A process that watches an asset and dies of a change of its record: before that is made, or just after."""

from __future__ import annotations

import asyncio
import os
import signal
from datetime import datetime

from flowstone import Freshness, Pipeline, Runtime
from flowstone.store import FileStore
from flowstone.store.memory_automations import MemoryAutomations
from flowstone.testing import VirtualClock

__all__ = ["shop", "watch_and_die"]


def shop() -> Pipeline:
    """A pipeline with one asset that is to be fresh."""
    pipeline = Pipeline("sales")

    @pipeline.asset(freshness=Freshness(within=60))
    async def orders() -> int:
        return 1

    return pipeline


def watch_and_die(directory: str, start: str, *, succeeds: bool, after: bool) -> None:
    """Watch from an instant on, for two minutes if it lives so long; the first change that tells something kills.

    Args:
        directory: Where the journal is.
        start: The instant.
        succeeds: Whether there is a success first.
        after: Whether it dies after the change, and not before it.
    """
    move = MemoryAutomations.move

    async def deadly(self, change):
        if change.events and not after:
            os.kill(os.getpid(), signal.SIGKILL)
        moved = await move(self, change)
        if change.events:
            os.kill(os.getpid(), signal.SIGKILL)
        return moved

    MemoryAutomations.move = deadly

    async def main() -> None:
        clock = VirtualClock(datetime.fromisoformat(start))
        async with Runtime(shop(), store=FileStore(directory), clock=clock, automate=True) as runtime:
            if succeeds:
                await runtime.materialize("orders")
            for _ in range(1000):
                await clock.advance(1)
                await asyncio.sleep(0.001)  # For the thread that writes the journal.

    asyncio.run(main())
