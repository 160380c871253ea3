"""Where processes are killed, and where several nodes share a database: still each change of freshness once."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from flowstone import Freshness, Pipeline, Runtime
from flowstone.assets.automation.event_kinds import exact_kinds
from flowstone.store import FileStore
from flowstone.store.deliveries import Follower
from flowstone.store.postgres import PostgresStore
from flowstone.testing import VirtualClock
from tests.automation.dying import shop, watch_and_die
from tests.forks import Fork

START = datetime(2025, 1, 1, tzinfo=UTC)
EVERYTHING = Follower("all", exact_kinds(["asset"], recorded=True), anywhere=True)


async def kinds(store):
    """What was told so far."""
    return [each.event.kind for each in await store.deliveries.pending("tests", "all", limit=1000)]


async def until(store, *expected):
    """Wait until so much was told."""
    async with asyncio.timeout(60):
        while len(await kinds(store)) < len(expected):
            await asyncio.sleep(0.005)
    assert await kinds(store) == list(expected)


@pytest.mark.parametrize("after", [False, True])
async def test_kill_9_around_a_change_tells_it_once(tmp_path, after):
    """The record, the event and the deliveries are one line of the journal: it is there, or the next does it."""
    store = FileStore(tmp_path)
    await store.open()
    await store.deliveries.follow("tests", [EVERYTHING])
    await store.close()
    clock = START
    told: list[str] = []
    for succeeds, kind in [(False, "asset.late"), (True, "asset.fresh"), (False, "asset.late")]:
        with Fork(watch_and_die, str(tmp_path), clock.isoformat(), succeeds=succeeds, after=after) as process:
            assert await asyncio.to_thread(process.wait, 100) == -9
        clock += timedelta(seconds=70) if kind == "asset.late" else timedelta(seconds=1)
        told.append(kind)
        store = FileStore(tmp_path)
        virtual = VirtualClock(clock)
        async with Runtime(shop(), store=store, clock=virtual, automate=True):
            await until(store, *told)


class TestPostgres:
    """Nodes with clocks of their own, on one database."""

    @pytest.fixture
    async def store(self, database):
        """The test's own look at the database."""
        store = PostgresStore(database)
        await store.open()
        await store.deliveries.follow("tests", [EVERYTHING])
        yield store
        await store.close()

    def node(self, database, **options):
        pipeline = Pipeline("sales")

        @pipeline.asset(freshness=Freshness(within=2, overdue=2))
        async def orders() -> int:
            return 1

        return Runtime(pipeline, store=database, automate=True, lease=2.0, **options)

    async def test_nodes_tell_each_change_once(self, database, store):
        """One of them watches, and the other goes on when it has left."""
        async with self.node(database) as second:
            async with self.node(database) as first:
                await until(store, "asset.late", "asset.overdue")
                await first.materialize("orders")
                await until(
                    store, "asset.late", "asset.overdue", "asset.fresh", "asset.late", "asset.overdue"
                )
            await second.materialize("orders")
            told = ["asset.late", "asset.overdue", "asset.fresh"] * 2 + ["asset.late", "asset.overdue"]
            await until(store, *told)
            assert (await second.freshness("orders")).status == "overdue"
        async with self.node(database) as third:
            await third.pause("freshness:orders")
            await third.materialize("orders")
            assert (await third.freshness("orders")).status == "fresh"
            await third.resume("freshness:orders")
            await until(store, *told, "asset.fresh", "asset.late", "asset.overdue")
