"""The contract of every cluster, for Postgres."""

from __future__ import annotations

import asyncio

import asyncpg
import pytest

from flowstone.store.postgres import PostgresStore
from tests.stepped import make_steppable, step_clock
from tests.store.cluster_contract import ClusterContract


class PostgresMeeting:
    """A database where nodes meet; time passes by moving what the database has noted."""

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

    async def expire(self, node_id: str) -> None:
        self.heart(node_id).paused.set()
        # A beat that is under way renews a lease of no length.
        await self.do(
            "update flowstone.nodes set lease = 0, expires_at = clock_timestamp() - interval '1 second' "
            "where id = $1",
            node_id,
        )

    async def revive(self, node_id: str) -> None:
        heart = self.heart(node_id)
        await self.do("update flowstone.nodes set lease = $2 where id = $1", node_id, heart.node.lease)
        heart.paused.clear()
        heart.hurry()
        # Not before it has beaten: the beat that was under way when it expired has told of a lost lease already.
        async with asyncio.timeout(10):
            while not any(each.alive for each in await self.store.cluster.nodes() if each.node.id == node_id):
                await asyncio.sleep(0.005)

    async def step(self, seconds: float) -> None:
        await step_clock(self.dsn, seconds)

    async def until(self, condition) -> None:
        async with asyncio.timeout(10):
            while not condition():
                await asyncio.sleep(0.005)

    def heart(self, node_id: str):
        hearts = (store.cluster.heart for store in self.stores)
        return next(heart for heart in hearts if heart is not None and heart.node.id == node_id)

    async def do(self, statement: str, *arguments) -> None:
        connection = await asyncpg.connect(self.dsn)
        await connection.execute(statement, *arguments)
        await connection.close()


class TestPostgresCluster(ClusterContract):
    """Postgres keeps the contract."""

    @pytest.fixture
    async def place(self, database):
        await make_steppable(database)
        place = PostgresMeeting(database)
        await place.store.open()
        yield place
        for store in place.stores:
            await store.close()
