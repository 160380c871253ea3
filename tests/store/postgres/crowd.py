"""Many writers of one store, and what they were told."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager

from flowstone.store.postgres import PostgresStore
from flowstone.store.protocol import StaleWrite
from tests.store.facts import begun, end, over, run, start

WRITERS = 24


class Crowd:
    """Writers, each with a run of its own and a step of a run that all share; what they were told."""

    def __init__(self, store: PostgresStore, named: str = "") -> None:
        self.store = store
        self.named = named
        self.shared = f"{named}all"
        self.told: set[tuple[str, str]] = set()
        self.most_waiting = 0
        self.enough = asyncio.Event()
        self.failed = False

    @asynccontextmanager
    async def at_work(self):
        """Let them write until the block is left, then to the end of what they are at."""
        await self.store.create_run(run(self.shared))
        await self.store.write(begun(self.shared))
        writers = [asyncio.create_task(self.write(f"{self.named}{number}")) for number in range(WRITERS)]
        try:
            yield
            self.enough.set()
            async with asyncio.timeout(200):
                await asyncio.gather(*writers)
        finally:
            for writer in writers:
                writer.cancel()
            await asyncio.gather(*writers, return_exceptions=True)

    async def write(self, name: str) -> None:
        try:
            await self.write_on(name)
        except StaleWrite:
            self.failed = True
            raise

    async def write_on(self, name: str) -> None:
        number = 0
        while not self.enough.is_set():
            run_id, number = f"{name}-{number}", number + 1
            await self.store.create_run(run(run_id))
            await self.store.write(start("a", run_id=run_id))
            await self.store.write(end("a", run_id=run_id, location=f"l/{run_id}"), payload=b"value")
            self.told.add((run_id, "a"))
            await self.store.write_many([end("b", run_id=run_id), over(run_id)])
            self.told.add((run_id, "b"))
            await self.store.write(start(name, str(number), run_id=self.shared))
            await self.store.write(end(name, str(number), run_id=self.shared))
            self.told.add((self.shared, f"{name}/{number}"))
            self.most_waiting = max(self.most_waiting, len(self.store._journal._waiting))
