"""Many writers while the wire is cut, backends end, the database is silent, or the disk is full.

What was acknowledged is recorded, nothing is recorded twice, and no writer is told that its own write was refused.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path
from random import Random
from urllib.parse import parse_qs, urlsplit

import asyncpg
import pytest

from flowstone.store.postgres import PostgresStore
from flowstone.store.protocol import StaleWrite, StoreRefused
from tests.chaos.proxy import Proxy
from tests.store.facts import end, run
from tests.store.postgres.crowd import WRITERS, Crowd


@pytest.fixture
async def wire(database, tmp_path_factory):
    """A proxy in front of the server, and the URL of the database behind it."""
    socket = parse_qs(urlsplit(database).query)["host"][0]
    proxy = Proxy(Path(socket), tmp_path_factory.mktemp("w") / "s", Random(7))
    await proxy.open()
    proxy.url = database.replace(socket, str(proxy.place))
    yield proxy
    await proxy.close()


async def check(crowd: Crowd, dsn: str) -> None:
    """What they were told is there, once; and a run's events have no gap."""
    connection = await asyncpg.connect(dsn)
    ended = await connection.fetch("select run_id, asset, key from flowstone.materializations")
    recorded = {
        (run_id, asset if run_id != "all" else f"{asset}/{key}") for run_id, asset, key in map(tuple, ended)
    }
    assert crowd.told <= recorded
    assert len(crowd.told) > WRITERS
    starts = await connection.fetch(
        "select run_id, begun.* from flowstone.starts cross join unnest(asset, key) as begun(asset, key)"
    )
    assert max(Counter(map(tuple, starts)).values()) == 1
    gaps = await connection.fetch(
        """select runs.id from flowstone.runs where runs.last_event - 1 <>
            (select count(*) from flowstone.events where run_id = runs.id)
            + (select coalesce(sum(cardinality(starts.at)), 0) from flowstone.starts where run_id = runs.id)
            + (select count(*) from flowstone.materializations as made where made.run_id = runs.id)"""
    )
    assert gaps == []
    values = await connection.fetchval("select count(*) from flowstone.payloads")
    assert values >= len([each for each in crowd.told if each[1] == "a"])
    await connection.close()
    assert crowd.most_waiting <= WRITERS


@pytest.fixture
async def far(wire):
    """A store behind the wire, with its crowd."""
    store = PostgresStore(wire.url)
    await store.open()
    yield Crowd(store)
    await store.close()


async def test_connections_cut_at_random_bytes(far, wire, database):
    """Of statements, of commits and of answers: each write has one outcome."""
    async with far.at_work():
        for _ in range(6):
            wire.cutting = True
            await asyncio.sleep(0.3)
            wire.cutting = False
            await asyncio.sleep(0.15)
    assert wire.cuts > 5
    await check(far, database)


async def test_terminated_backends(far, database):
    """The server ends connections in the middle of what they do."""
    connection = await asyncpg.connect(database)
    async with far.at_work():
        for _ in range(25):
            await connection.execute(
                "select pg_terminate_backend(pid) from pg_stat_activity "
                "where pid <> pg_backend_pid() and datname = current_database()"
            )
            await asyncio.sleep(0.06)
    await connection.close()
    await check(far, database)


async def test_a_database_that_says_nothing(far, wire, database):
    """Writers wait, no more of them than there are, and go on."""
    async with far.at_work():
        await asyncio.sleep(0.2)
        wire.hold()
        await asyncio.sleep(0.1)
        told = set(far.told)
        await asyncio.sleep(1.0)
        assert far.told == told
        wire.let_go()
        await asyncio.sleep(0.3)
    assert far.told > told
    await check(far, database)


@pytest.mark.parametrize("code", ["53100", "53200", "57P03", "40P01", "25006", "58030"])
async def test_errors_that_pass(far, database, code):
    """A full disk, no memory, a standby, a failing disk: waited for, and said; then nothing is missing."""
    connection = await asyncpg.connect(database)
    await connection.execute(
        f"create function fail() returns trigger language plpgsql as "
        f"$$ begin raise exception 'weather' using errcode = '{code}'; end $$"
    )
    async with far.at_work():
        await asyncio.sleep(0.1)
        await connection.execute(
            "create trigger fail before insert on flowstone.materializations execute function fail()"
        )
        async with asyncio.timeout(200):
            while far.store.problem is None:
                await asyncio.sleep(0.01)
        told = set(far.told)
        await asyncio.sleep(0.2)
        assert far.told == told
        assert "UTC: recording what runs write)" in far.store.problem
        await connection.execute("drop trigger fail on flowstone.materializations")
        await asyncio.sleep(0.3)
    assert far.store.problem is None
    await connection.close()
    await check(far, database)


async def test_an_entry_that_cannot_be_recorded_harms_nobody_else(far, database):
    """What the database does not take is found by halving, and only its writer hears of it."""
    await far.store.create_run(run("r"))
    good = [far.store._journal.write([end("a", str(number), run_id="r")], 0) for number in range(40)]
    bad = [far.store._journal.write([end("no\0t", str(number), run_id="r")], 0) for number in range(3)]
    told = await asyncio.gather(*good[:20], *bad, *good[20:], return_exceptions=True)
    assert [type(each) for each in told[20:23]] == [StoreRefused] * 3
    assert set(told[:20] + told[23:]) == {None}
    assert len(await far.store.steps("r")) == 40


async def test_cancelled_writers_leave_a_whole_record(far, database):
    """A cancelled write may be recorded or not; what comes of the others is not touched."""
    random = Random(3)
    await far.store.create_run(run("r"))
    writes = [
        asyncio.create_task(far.store.write(end("a", str(number), run_id="r"))) for number in range(400)
    ]
    cancelled = set(random.sample(range(400), 200))
    for number in cancelled:
        writes[number].cancel()
        if random.random() < 0.2:
            await asyncio.sleep(0)
    outcomes = await asyncio.gather(*writes, return_exceptions=True)
    recorded = {int(step.partition_key) for step in await far.store.steps("r")}
    assert {number for number, outcome in enumerate(outcomes) if outcome is None} <= recorded
    assert recorded >= set(range(400)) - cancelled


async def test_batches_without_numbers_would_be_found(far, wire, database):
    """This harness sees it when a batch whose answer was lost is recorded again."""
    connection = await asyncpg.connect(database)
    text = await connection.fetchval("select pg_get_functiondef('flowstone.record'::regproc)")
    numbered = "where known.batch < excluded.batch"
    assert numbered in text
    await connection.execute(text.replace(numbered, ""))
    await connection.close()
    with pytest.raises(StaleWrite):
        async with asyncio.timeout(200), far.at_work():
            while not far.failed:
                wire.cutting = not wire.cutting
                await asyncio.sleep(0.2)
    wire.cutting = False
