"""The feed in a database: numbers that are missing, what is forgotten, and what it costs to read."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager

import asyncpg
import pytest

from flowstone.errors import FeedExpired, StoreUnavailable
from flowstone.runs.automation_events import AutomationPaused
from flowstone.store.postgres import PostgresStore, retention
from flowstone.store.postgres import feed as feed_module
from flowstone.store.postgres.sql import query
from tests.store.facts import at, begun, end, over, run, start
from tests.store.feed_contract import entries, events

TOLD = """insert into flowstone.feed (event)
    values ('{"kind": "automation.paused", "at": "2026-01-01T00:00:00+00:00", "name": "%s"}')"""


@pytest.fixture
async def connection(database):
    """Somebody else's."""
    connection = await asyncpg.connect(database)
    yield connection
    await connection.close()


@asynccontextmanager
async def following(store, after):
    """What a reader has got so far, and an event that says that there is more."""
    got, more = [], asyncio.Event()
    fresh = asyncio.Event()

    async def follow():
        position = after
        while True:
            fresh.clear()
            for entry in await store.feed.read(position):
                got.append(entry)
                position = entry.id
                more.set()
            await fresh.wait()

    with store.feed.watch(fresh.set):
        task = asyncio.create_task(follow())
        try:
            yield got, more
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


async def until(got, more, count):
    """Wait for so many events."""
    async with asyncio.timeout(60):
        while len(got) < count:
            more.clear()
            await more.wait()


async def looks(store, count):
    """Wait until the feed has been looked at so often."""
    seen = asyncio.Event()
    fetch = store._database.fetch
    names = []

    async def counting(name, *arguments):
        names.append(name)
        if names.count("feed_rows") >= count:
            seen.set()
        return await fetch(name, *arguments)

    store._database.fetch = counting
    async with asyncio.timeout(60):
        await seen.wait()
    store._database.fetch = fetch
    return names


@pytest.mark.parametrize("ends_with", ["commit", "rollback"])
async def test_a_number_that_may_come_yet_is_waited_for(store, connection, ends_with):
    """A transaction has taken it and is not over; what is after it comes in its order, or without it."""
    position = await store.feed.position()
    async with following(store, position) as (got, more):
        await connection.execute("begin; " + TOLD % "slow")
        await store.create_run(run())
        await looks(store, 3)
        assert got == []
        await connection.execute(ends_with)
        await until(got, more, 1 + (ends_with == "commit"))
    kinds = [entry.kind for entry in got]
    assert kinds == ["automation.paused"] * (ends_with == "commit") + ["run.queued"]


async def test_whoever_waits_for_nobody_loses_events(store, connection, monkeypatch):
    """Without the question who is writing, the test before this one fails."""

    async def nobody(_feed):
        return frozenset()

    monkeypatch.setattr(feed_module.PostgresFeed, "_writers", nobody)
    position = await store.feed.position()
    async with following(store, position) as (got, more):
        await connection.execute("begin; " + TOLD % "slow")
        await store.create_run(run())
        await until(got, more, 1)
        await connection.execute("commit")
        await looks(store, 3)
    assert [entry.kind for entry in got] == ["run.queued"]


async def test_only_those_are_waited_for_who_may_have_it(store, connection, database):
    """Who comes to write later does not hold up what is before him, however long he takes."""
    later = await asyncpg.connect(database)
    position = await store.feed.position()
    async with following(store, position) as (got, more):
        await connection.execute("begin; " + TOLD % "slow")
        await store.create_run(run())
        await looks(store, 2)
        await later.execute("begin; " + TOLD % "later")
        await connection.execute("rollback")
        await until(got, more, 1)
        assert [entry.kind for entry in got] == ["run.queued"]
        await later.execute("commit")
        await until(got, more, 2)
    await later.close()


async def test_transactions_of_others_hold_up_nothing(store, connection):
    """As a report that takes an hour, or a transaction that was left open and has written elsewhere."""
    position = await store.feed.position()
    await connection.execute("create table elsewhere (id integer)")
    await connection.execute("begin isolation level repeatable read; insert into elsewhere values (1)")
    await connection.fetch("select * from flowstone.feed")
    async with following(store, position) as (got, more):
        await store.create_run(run())
        await until(got, more, 1)
    await connection.execute("rollback")


async def test_a_position_is_given_when_all_before_it_is_over(store, connection):
    """So whatever comes after it could not be seen in the store when it was asked for."""
    await connection.execute("begin; " + TOLD % "slow")
    await store.create_run(run())
    asked = asyncio.create_task(store.feed.position())
    names = []
    fetch = store._database.fetch

    async def noting(name, *arguments):
        names.append(name)
        return await fetch(name, *arguments)

    store._database.fetch = noting
    async with asyncio.timeout(60):
        while names.count("feed_writers") < 3:
            await asyncio.sleep(0)
    assert not asked.done()
    await connection.execute("commit")
    assert await events(store.feed, await asked) == []


async def test_a_large_batch_takes_several_numbers(store):
    """And is read from the middle of any."""
    await store.create_run(run())
    keys = [str(number) for number in range(2_500)]
    await store.write_many([start("a", key) for key in keys])
    await store.write_many([end("a", key) for key in keys])
    found = await entries(store.feed, 0)
    recorded = [event for _, event in await store.events("run-1", limit=10_000)]
    assert [entry.event for entry in found] == recorded
    for place in (1_022, 1_023, 1_024, 1_025, 2_600, 5_000):
        rest = await entries(store.feed, found[place].id)
        assert [entry.id for entry in rest] == [entry.id for entry in found[place + 1 :]]


async def test_starts_that_share_a_row_are_told_one_by_one(store):
    """Also where only some of them belong to what is read."""
    await store.create_run(run())
    await asyncio.gather(*(store.write(start("a", str(number))) for number in range(50)))
    found = await entries(store.feed, 0)
    assert [entry.event.partition_key for entry in found[1:]] == [
        event.partition_key for _, event in await store.events("run-1", after=1)
    ]
    rest = await entries(store.feed, found[20].id)
    assert [entry.id for entry in rest] == [entry.id for entry in found[21:]]


async def test_what_is_old_is_forgotten_and_who_comes_late_is_told(store, database, monkeypatch):
    """The newest stays: whoever has read all goes on from it, after a year as well."""
    await store.create_run(run())
    first, *_, last = [entry.id for entry in await entries(store.feed, 0)] * 2
    await store.write(start("a"))
    last = (await entries(store.feed, last))[-1].id
    monkeypatch.setattr(retention, "_FEED_SECONDS", 0.0)
    monkeypatch.setattr(retention, "_FEED_ROWS", 0)
    await store.prune(keep_versions=5, keep_runs=5)
    for gone in (0, first):
        with pytest.raises(FeedExpired):
            await store.feed.read(gone)
    assert await events(store.feed, last) == []
    await store.write(end("a"))
    assert await events(store.feed, last) == [end("a")]


async def test_what_is_new_or_among_the_newest_is_not_forgotten(store, connection):
    """By time, and by number where little happens."""
    for number in range(5):
        await store.create_run(run(f"run-{number}"))
    await connection.execute(query("prune_feed"), 3600.0, 0, 100)
    assert len(await entries(store.feed, 0)) == 5
    await connection.execute(query("prune_feed"), 0.0, 3, 100)
    assert await connection.fetchval("select count(*) from flowstone.feed") == 4


async def test_events_that_retention_took_are_missed(store):
    """They are not left out as if they had never been."""
    await store.create_run(run())
    await store.write(begun())
    await store.write(over())
    await store.create_run(run("run-2"))
    await store.prune(keep_versions=5, keep_runs=0)
    with pytest.raises(FeedExpired):
        await store.feed.read(0)
    position = await store.feed.position()
    await store.write(begun("run-2"))
    assert [entry.kind for entry in await entries(store.feed, position)] == ["run.started"]


async def test_readers_of_one_process_share_each_look(store):
    """However many there are: twenty readers ask the database no more often than one."""
    position = await store.feed.position()
    readers = [following(store, position) for _ in range(20)]
    opened = [await reader.__aenter__() for reader in readers]
    await looks(store, 1)
    reading = asyncio.create_task(looks(store, 3))
    await asyncio.sleep(0)
    await store.create_run(run())
    for got, more in opened:
        await until(got, more, 1)
    names = await reading
    assert names.count("feed_events") == 1
    for reader in readers:
        await reader.__aexit__(None, None, None)


async def test_an_id_that_another_process_has_given_is_known_at_once(store, database, monkeypatch):
    """Though this one has not looked since: who comes back to it goes on, and is not told to load all again."""
    other = PostgresStore(database)
    await other.open()
    with store.feed.watch(lambda: None):
        await looks(store, 1)
        monkeypatch.setattr(feed_module, "_LOOK", 3_600.0)
        await looks(store, 1)
        await other.create_run(run())
        given = await other.feed.position()
        assert await events(store.feed, given) == []
        await other.write(begun())
        await other.feed.position()
        with pytest.raises(FeedExpired):
            await store.feed.read(given + 10**9)
        assert await events(store.feed, given) == [begun()]
        monkeypatch.undo()
    await other.close()


async def test_nobody_who_reads_costs_nothing(store, connection):
    """The looking ends with the last reader."""
    with store.feed.watch(lambda: None):
        await looks(store, 2)
    names = []
    fetch = store._database.fetch

    async def noting(name, *arguments):
        names.append(name)
        return await fetch(name, *arguments)

    async with asyncio.timeout(60):
        while store.feed._runs:
            await asyncio.sleep(0.01)
    store._database.fetch = noting
    assert store.feed._runs is False
    assert names == []


async def test_another_connection_reads_the_same_ids(store, database):
    """An id is good in every process."""
    other = PostgresStore(database)
    await other.open()
    await store.create_run(run())
    await store.deliveries.add("sales", [AutomationPaused(at(1), "nightly")])
    mine, others = await entries(store.feed, 0), await entries(other.feed, 0)
    assert [(each.id, each.event) for each in mine] == [(each.id, each.event) for each in others]
    await other.close()


async def test_who_reads_is_told_that_the_database_does_not_answer(store, monkeypatch):
    """As whoever asks it anything else; and goes on when it does."""
    fresh = asyncio.Event()
    with store.feed.watch(fresh.set):
        position = await store.feed.position()
        fetch = store._database.fetch

        async def away(name, *arguments):
            raise StoreUnavailable("nobody answers")

        monkeypatch.setattr(store._database, "fetch", away)
        async with asyncio.timeout(60):
            await fresh.wait()
        with pytest.raises(StoreUnavailable, match="nobody answers"):
            await store.feed.read(position)
        monkeypatch.setattr(store._database, "fetch", fetch)
        await store.create_run(run())
        async with asyncio.timeout(60):
            while True:
                fresh.clear()
                try:
                    if await store.feed.read(position):
                        break
                except StoreUnavailable:
                    pass
                await fresh.wait()
