"""Payloads that are too large for the shared commit hold up nobody, and are recorded once whatever breaks."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager

import asyncpg
import pytest

from flowstone.errors import StoreUnavailable
from flowstone.store.protocol import StaleWrite
from tests.store.facts import begun, end, over, run, start

LARGE = bytes(1_000_001)
WAITING = "select count(*) from pg_locks where not granted and relation = 'flowstone.payloads'::regclass"


@pytest.fixture
async def held(database):
    """An async context manager: while it is entered, no payload gets into the database."""
    connection = await asyncpg.connect(database)
    other = await asyncpg.connect(database)

    @asynccontextmanager
    async def hold(waiting):
        async with connection.transaction():
            await connection.execute("lock table flowstone.payloads in exclusive mode")

            async def until_they_wait():
                while await other.fetchval(WAITING) < waiting:
                    await asyncio.sleep(0)

            yield until_they_wait

    yield hold
    await connection.close()
    await other.close()


def large(name="a", **fields):
    """A success with a location."""
    return end(name, location=f"store:{name}", **fields)


async def test_a_large_payload_holds_up_nobody(store, held):
    """While it is on its way, others of its run are recorded, and questions find a connection."""
    await store.create_run(run())
    async with held(1) as until_they_wait:
        writing = asyncio.gather(*(store.write(large(f"a{n}"), payload=LARGE) for n in range(20)))
        await until_they_wait()
        async with asyncio.timeout(200):
            await store.write(begun())
            await store.write(start("b"))
            assert (await store.run("run-1")).total == 3
    await writing
    assert len(await store.steps("run-1")) == 20
    assert await store.payload("store:a19") == LARGE


async def test_large_payloads_of_a_run_go_side_by_side(store, held):
    """Several are on their way at a time, and not more than leave connections to others."""
    await store.create_run(run())
    async with held(4) as until_they_wait:
        writing = asyncio.gather(*(store.write(large(f"a{n}"), payload=LARGE) for n in range(6)))
        await until_they_wait()
    await writing
    assert len(await store.steps("run-1")) == 6


async def test_a_large_payload_is_loaded_once_for_all_who_ask(store, monkeypatch):
    """At the same time; later askers load it again. One who gives up takes it from nobody."""
    await store.create_run(run())
    await store.write(large(), payload=LARGE)
    loads = []
    fetch, closed = store._database.fetch, asyncio.Event()

    async def counted(name, *given):
        if name == "large_payload":
            loads.append(given)
            await closed.wait()
        return await fetch(name, *given)

    monkeypatch.setattr(store._database, "fetch", counted)
    asking = [asyncio.create_task(store.payload("store:a")) for _ in range(31)]
    while not loads or store._history._payload._busy:  # Until all know that it is a large one.
        await asyncio.sleep(0)
    asking[0].cancel()
    closed.set()
    first, *others = await asyncio.gather(*asking, return_exceptions=True)
    assert isinstance(first, asyncio.CancelledError)
    assert all(other == LARGE for other in others)
    assert len(loads) == 1
    assert await store.payload("store:a") == LARGE
    assert len(loads) == 2


async def test_an_error_of_a_shared_load_is_everybodys(store, monkeypatch):
    """And the next one who asks tries again."""
    await store.create_run(run())
    await store.write(large(), payload=LARGE)
    fetch, failing = store._database.fetch, [True]

    async def failed(name, *given):
        if name == "large_payload" and failing:
            raise StoreUnavailable("not now")
        return await fetch(name, *given)

    monkeypatch.setattr(store._database, "fetch", failed)
    asking = [store.payload("store:a") for _ in range(3)]
    told = await asyncio.gather(*asking, return_exceptions=True)
    assert all(isinstance(each, StoreUnavailable) for each in told)
    failing.clear()
    assert await store.payload("store:a") == LARGE


class Cut:
    """Cuts the connection of the first `times` transactions, after their commit."""

    def __init__(self, monkeypatch, store, times=1):
        self.times = times
        self.transaction = store._database.transaction
        monkeypatch.setattr(store._database, "transaction", self)

    @asynccontextmanager
    async def __call__(self, **options):
        async with self.transaction(**options) as connection:
            yield connection
        if self.times:
            self.times -= 1
            raise ConnectionResetError


async def test_a_lost_answer_is_no_second_record(store, monkeypatch):
    """Recorded, but nobody heard of it: sent again, it is there once."""
    await store.create_run(run())
    cut = Cut(monkeypatch, store, times=2)
    await store.write(large(), payload=LARGE)
    assert cut.times == 1  # The second try was refused, by the record of the first.
    assert len(await store.steps("run-1")) == 1
    assert await store.payload("store:a") == LARGE


async def test_a_lost_answer_is_no_excuse(store, monkeypatch):
    """What is refused although the connection broke was not recorded by it."""
    await store.create_run(run())
    await store.write(end("a", location="store:other"), payload=b"first")
    entered = []

    class Broken(Cut):
        @asynccontextmanager
        async def __call__(self, **options):
            entered.append(1)
            if len(entered) == 1:
                raise ConnectionResetError
            async with self.transaction(**options) as connection:
                yield connection

    Broken(monkeypatch, store)
    with pytest.raises(StaleWrite, match="already"):
        await store.write(large(), payload=LARGE)
    assert (len(entered), await store.has_payload("store:a")) == (2, False)


async def test_a_refused_large_payload_is_undone(store):
    """Though its bytes go first."""
    await store.create_run(run())
    await store.write(over())
    with pytest.raises(StaleWrite, match="finished"):
        await store.write(large(), payload=LARGE)
    assert not await store.has_payload("store:a")


async def test_a_closed_store_takes_none(store):
    """It says so, as for any other write."""
    await store.create_run(run())
    await store.close()
    with pytest.raises(StoreUnavailable, match="closed"):
        await store.write(large(), payload=LARGE)
