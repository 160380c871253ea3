"""The contract of every cluster, for Postgres."""

from __future__ import annotations

import asyncio

import pytest

from flowstone.store.postgres import PostgresStore
from tests.stepped import make_steppable, step_clock
from tests.store.cluster_contract import LEASE, ClusterContract
from tests.store.pools_contract import PoolsContract
from tests.store.rates_contract import RatesContract


class PostgresMeeting:
    """A database where nodes meet, with a clock that can be stepped."""

    def __init__(self, dsn: str) -> None:
        self.dsn = dsn
        self.store = PostgresStore(dsn)
        self.stores = [self.store]

    async def connect(self):
        store = PostgresStore(self.dsn)
        await store.open()
        await store.cluster._listener.keep()  # What is told before it listens it would not hear.
        self.stores.append(store)
        return store

    async def silence(self, node_id: str) -> None:
        heartbeat = self.heartbeat(node_id)
        heartbeat.paused.set()
        assert await asyncio.to_thread(heartbeat.resting.wait, 60)

    async def beat(self, node_id: str, *, late: bool = False) -> None:
        heartbeat = self.heartbeat(node_id)
        if late:
            heartbeat._since -= 2 * LEASE
        before = await self.count(node_id)
        heartbeat.paused.clear()
        async with asyncio.timeout(200):
            while await self.count(node_id) == before:
                heartbeat.hurry()
                await asyncio.sleep(0.005)

    async def count(self, node_id: str) -> int:
        return next(each.count for each in await self.store.cluster.beats(["sales"]) if each.node == node_id)

    async def step(self, seconds: float) -> None:
        await step_clock(self.dsn, seconds)

    async def until(self, condition) -> None:
        async with asyncio.timeout(200):
            while not condition():
                await asyncio.sleep(0.005)

    def heartbeat(self, node_id: str):
        hearts = (store.cluster.heartbeat for store in self.stores)
        return next(
            heartbeat for heartbeat in hearts if heartbeat is not None and heartbeat.node.id == node_id
        )


class TestPostgresCluster(ClusterContract, PoolsContract, RatesContract):
    """Postgres keeps the contracts."""

    @pytest.fixture
    async def place(self, database):
        await make_steppable(database)
        place = PostgresMeeting(database)
        await place.store.open()
        yield place
        for store in place.stores:
            await store.close()
