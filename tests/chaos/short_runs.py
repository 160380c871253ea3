"""Runs that are submitted and cancelled at once, while three nodes apply retention: many locks at a time."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, suppress
from typing import TYPE_CHECKING

from flowstone.errors import FlowstoneError, StoreUnavailable
from flowstone.store.postgres import PostgresStore
from tests.chaos.pipeline import SCRAPS
from tests.postgres import deadlocks_in

if TYPE_CHECKING:
    from tests.chaos.world import World

__all__ = ["ShortRuns", "deadlocks"]

CLIENTS = 3
RUNS = 30  # Of each client in a round, at most: with all others they are fewer than retention keeps.
KEEP_RUNS = 150
KEEP_VERSIONS = 2

TOO_MANY = """
select count(*) from (
    select from flowstone.materializations where asset = 'scrap' and status = 'succeeded' and kept
    group by asset, key having count(*) > $1) as crowded
"""


class ShortRuns:
    """Submits, cancels and forgets, in a world where other things go wrong, until it is told to stop.

    Attributes:
        submitted: Runs that the client was told are durable.
        cancelled: Of those, the ones whose `cancel()` returned.
    """

    def __init__(self, world: World) -> None:
        self._world = world
        self._stop = asyncio.Event()
        self.submitted: set[str] = set()
        self.cancelled: set[str] = set()

    async def run(self) -> None:
        """Until `stop`."""
        async with AsyncExitStack() as stack:
            stores = [PostgresStore(self._world.url) for _ in range(CLIENTS)]
            for store in stores:
                await store.open()
                stack.push_async_callback(store.close)
            await asyncio.gather(
                *(self._submit() for _ in range(CLIENTS)), *(self._forget(store) for store in stores)
            )

    def stop(self) -> None:
        self._stop.set()

    async def _submit(self) -> None:
        random, client = self._world.random, self._world.client
        for _ in range(RUNS):
            if self._stop.is_set():
                return
            with suppress(StoreUnavailable):  # Nobody was told anything.
                run = await client.submit("scrap", partition=random.choice(SCRAPS))
                self.submitted.add(run.id)
                if random.random() < 0.8:
                    await run.cancel()
                    self.cancelled.add(run.id)
            await asyncio.sleep(random.uniform(0, 0.2))

    async def _forget(self, store: PostgresStore) -> None:
        while not self._stop.is_set():
            with suppress(FlowstoneError):
                await store.prune(keep_versions=KEEP_VERSIONS, keep_runs=KEEP_RUNS, assets=("scrap",))
            await asyncio.sleep(self._world.random.uniform(0, 0.2))

    async def check(self) -> list[str]:
        """A sentence for each promise that is broken, once everything is quiet."""
        broken = []
        for run_id in sorted(self.submitted):
            record = await self._world.store.run(run_id)
            if record is None:
                broken.append(f"run {run_id} was acknowledged and is lost")
            elif not record.status.terminal:
                what = "cancelled" if run_id in self.cancelled else "submitted"
                broken.append(f"run {run_id} was {what} and is {record.status}")
        await self._world.store.prune(keep_versions=KEEP_VERSIONS, keep_runs=KEEP_RUNS, assets=("scrap",))
        if crowded := (await self._world.ask(TOO_MANY, KEEP_VERSIONS))[0][0]:
            broken.append(f"retention left more than {KEEP_VERSIONS} values of {crowded} partitions")
        return broken + [each for key in SCRAPS if (each := await self._newest(key)) is not None]

    async def _newest(self, key: str) -> str | None:
        """What loads is what was recorded last, whatever the clocks of those who recorded it said."""
        rows = await self._world.ask(
            "select run_id from flowstone.materializations "
            "where asset = 'scrap' and key = $1 and status = 'succeeded' order by arrival desc limit 1",
            key,
        )
        if not rows:
            return None
        value = await self._world.client.load("scrap", partition=key)
        if value["run"] == rows[0][0]:
            return None
        return f"scrap[{key}] of {rows[0][0]} was recorded last, and that of {value['run']} is loaded"


def deadlocks(world: World) -> int:
    """How many the server has logged since it was made."""
    return len(deadlocks_in(world.place / "pg" / "server.log"))
