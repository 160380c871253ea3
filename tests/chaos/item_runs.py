"""Runs that go through items, in a world where nodes, connections and the database die."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING

from flowstone.assets.partition_keys import encode_partition
from flowstone.errors import FlowstoneError, StoreUnavailable
from flowstone.io.postgres import PostgresIO
from tests.chaos.item_checks import RecordedItems, check_items, check_summary
from tests.chaos.pipeline import PARTS

if TYPE_CHECKING:
    from tests.chaos.world import World

__all__ = ["ItemRuns"]

RUNS = 4  # In a round.


class ItemRuns:
    """Submits such runs, and looks at their items while they go on.

    Attributes:
        submitted: Runs that the client was told are durable, each with its partition.
        items: How many items were recorded in all.
        nodes: How many nodes the items of one step ran on, at most.
    """

    def __init__(self, world: World) -> None:
        self._world = world
        self._recorded = RecordedItems(world.place)
        self.submitted: dict[str, str] = {}
        self.items = self.nodes = 0

    async def run(self) -> None:
        """Until all of them have ended."""
        random, client = self._world.random, self._world.client
        for part in random.sample(PARTS, RUNS):
            with suppress(StoreUnavailable):  # Nobody was told anything.
                self.submitted[(await client.submit("summary", partition=part)).id] = part
            await asyncio.sleep(random.uniform(0, 1))
        await asyncio.gather(*(self._ended(run_id, part) for run_id, part in self.submitted.items()))

    async def _ended(self, run_id: str, part: str) -> None:
        client, store = self._world.client, self._world.store
        while True:
            with suppress(StoreUnavailable):
                await self._recorded.note(store.items, run_id, encode_partition(part))
                if (await (await client.run(run_id)).status()).terminal:
                    return
            await asyncio.sleep(0.1)

    async def check(self) -> list[str]:
        """A sentence for each promise that is broken, once everything is quiet."""
        world = self._world
        broken = self._recorded.called_again(self.submitted, world.suspended)
        self.nodes = self._recorded.most_processes()
        io = PostgresIO().attach(world.store)
        for run_id, part in self.submitted.items():
            record = await world.store.run(run_id)
            if record is None or record.status != "succeeded":
                broken.append(f"run {run_id} is {None if record is None else record.status}")
                continue
            broken += await check_items(world.store.items, io, run_id, encode_partition(part))
            with suppress(FlowstoneError):
                result = await (await world.client.run(run_id)).wait()
                broken += check_summary(run_id, await result.value("summary"))
                self.items += len(await world.client.items(run_id, "page", partition=part, limit=1000))
        return broken
