"""Readers of the feed while many write, transactions fail and connections are cut: every event once, in order.

Each reader goes on at random from ids that it has had, with another connection, as a page that is loaded again.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random
from urllib.parse import parse_qs, urlsplit

import asyncpg
import pytest

from flowstone.errors import StoreUnavailable
from flowstone.runs.automation_events import AutomationPaused
from flowstone.store.postgres import PostgresStore
from flowstone.store.postgres.feed import PostgresFeed
from tests.chaos.proxy import Proxy
from tests.store.facts import at
from tests.store.postgres.crowd import Crowd

READERS = 3

SLOW_COMMITS = """
    create function slow_commit() returns trigger language plpgsql as
    $$ begin perform pg_sleep(case when random() < 0.2 then random() * 0.05 else 0 end); return null; end $$;
    create constraint trigger slow_commit after insert on flowstone.feed deferrable initially deferred
    for each row execute function slow_commit();
"""
"""Some transactions are committed long after they took their numbers, and after others that took theirs later."""


@pytest.fixture
async def wire(database, tmp_path_factory):
    """A proxy in front of the server, and the URL of the database behind it."""
    socket = parse_qs(urlsplit(database).query)["host"][0]
    proxy = Proxy(Path(socket), tmp_path_factory.mktemp("w") / "s", Random(7))
    await proxy.open()
    proxy.url = database.replace(socket, str(proxy.place))
    yield proxy
    await proxy.close()


class Reader:
    """Follows the feed from its beginning, and begins again somewhere now and then.

    Attributes:
        ids: Those it has had last, in order.
        events: By id, the event.
    """

    def __init__(self, dsn: str, random: Random) -> None:
        self.dsn = dsn
        self.random = random
        self.ids: list[int] = []
        self.events: dict[int, object] = {}
        self.highest = -1
        self.resumed = 0
        self.enough = asyncio.Event()

    async def read(self) -> None:
        while not self.enough.is_set():
            store = PostgresStore(self.dsn)
            try:
                await store.open()
                await self.follow(store)
            except StoreUnavailable:
                pass  # The wire is cut: again, with another connection.
            finally:
                await store.close()
            if not self.enough.is_set() and self.ids:
                del self.ids[self.random.randrange(len(self.ids)) + 1 :]
                self.resumed += 1

    async def follow(self, store: PostgresStore) -> None:
        fresh = asyncio.Event()
        pages = self.random.randrange(2, 12)
        with store.feed.watch(fresh.set):
            while pages or self.enough.is_set():
                fresh.clear()
                page = await store.feed.read(self.ids[-1] if self.ids else 0)
                for entry in page:
                    self.take(entry)
                if page:
                    pages = max(0, pages - 1)
                elif self.enough.is_set():
                    return
                else:
                    await fresh.wait()

    def take(self, entry) -> None:
        assert not self.ids or entry.id > self.ids[-1]
        assert entry.id in self.events or entry.id > self.highest, "it was passed over before"
        self.highest = max(self.highest, entry.id)
        assert self.events.setdefault(entry.id, entry.event) == entry.event
        self.ids.append(entry.id)


async def rolled_back(dsn: str, enough: asyncio.Event, random: Random) -> None:
    """Transactions that take numbers and fail, or take their time."""
    connection = await asyncpg.connect(dsn)
    while not enough.is_set():
        await connection.execute("begin; insert into flowstone.feed default values")
        await asyncio.sleep(random.random() * 0.05)
        await connection.execute("rollback")
    await connection.close()


async def check(reader: Reader, store: PostgresStore) -> None:
    """It had what is on record of each run, in its order, each event once."""
    told: dict[str, list[object]] = {}
    for each in reader.ids:
        event = reader.events[each]
        told.setdefault(event.run_id, []).append(event)
    runs = await store.runs(limit=100_000)
    assert set(told) == {record.id for record in runs}
    for record in runs:
        assert told[record.id] == [event for _, event in await store.events(record.id, limit=100_000)]


@asynccontextmanager
async def opened(*urls: str):
    """A store of each."""
    stores = [PostgresStore(url) for url in urls]
    for store in stores:
        await store.open()
    try:
        yield stores
    finally:
        for store in stores:
            await store.close()


async def let_read(database: str, writers: str, trouble) -> list[Reader]:
    """Let two nodes write through `writers` and readers read from `database` while there is trouble; then check."""
    connection = await asyncpg.connect(database)
    await connection.execute(SLOW_COMMITS)
    await connection.close()
    readers = [Reader(database, Random(seed)) for seed in range(READERS)]
    enough = asyncio.Event()
    async with opened(writers, writers, database) as (store, other, quiet):
        tasks = [asyncio.create_task(reader.read()) for reader in readers]
        failing = asyncio.create_task(rolled_back(database, enough, Random(5)))
        async with Crowd(store, "x").at_work(), Crowd(other, "y").at_work():
            await trouble(tasks)
        enough.set()
        await failing
        for reader in readers:
            reader.enough.set()
        await store.deliveries.add("sales", [AutomationPaused(at(1), "last")])  # Whoever waits looks again.
        async with asyncio.timeout(100):
            ended = await asyncio.gather(*tasks, return_exceptions=True)
        for error in filter(None, ended):
            raise error
        for reader in readers:
            while page := await quiet.feed.read(reader.ids[-1]):
                for entry in page:
                    reader.take(entry)
            reader.ids = [each for each in reader.ids if reader.events[each].run_id]
            await check(reader, quiet)
    return readers


async def test_readers_miss_nothing_while_connections_are_cut(wire, database):
    """Of those who write: each event that is on record is read once, in its order, wherever a reader goes on."""

    async def trouble(_readers):
        for _ in range(5):
            wire.cutting = True
            await asyncio.sleep(0.3)
            wire.cutting = False
            await asyncio.sleep(0.15)

    readers = await let_read(database, wire.url, trouble)
    assert wire.cuts > 3
    assert sum(reader.resumed for reader in readers) > 0


async def test_readers_miss_nothing_while_backends_end(database):
    """Those of writers and of readers."""
    connection = await asyncpg.connect(database)

    async def trouble(_readers):
        for _ in range(15):
            await connection.execute(
                "select pg_terminate_backend(pid) from pg_stat_activity "
                "where pid <> pg_backend_pid() and datname = current_database() and application_name = 'flowstone'"
            )
            await asyncio.sleep(0.08)

    await let_read(database, database, trouble)
    await connection.close()


async def test_readers_that_wait_for_nobody_would_be_found(database, monkeypatch):
    """This harness sees it when a number that is missing is passed over."""

    async def nobody(_feed):
        return frozenset()

    async def trouble(readers):
        await asyncio.wait(readers, return_when=asyncio.FIRST_COMPLETED)

    monkeypatch.setattr(PostgresFeed, "_writers", nobody)
    with pytest.raises(AssertionError, match="passed over"):
        async with asyncio.timeout(100):
            await let_read(database, database, trouble)
