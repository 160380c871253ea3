"""Connections: what a process that goes away in the middle of something leaves behind."""

from __future__ import annotations

import asyncio

import asyncpg
import pytest

from flowstone.store.postgres import PostgresStore
from flowstone.store.postgres import database as connections
from flowstone.store.postgres import health as module
from flowstone.store.postgres.address import Address
from tests.store.facts import begun, run

BROKEN = (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError)
"""What asyncpg raises of a connection that the server has closed; which of them is a matter of the moment."""


async def test_a_process_that_stops_in_a_transaction_holds_its_locks_for_seconds(database, monkeypatch):
    """Whoever adopts its runs waits that long and no longer; then the transaction is undone."""
    monkeypatch.setattr(connections, "_IDLE", 200)
    away, other = PostgresStore(database), PostgresStore(database)
    await away.open()
    await other.open()
    await away.create_run(run(owner="n1"))
    transaction = away._database.transaction()
    connection = await transaction.__aenter__()
    await connection.execute("update flowstone.runs set owner = 'n9'")
    # It does nothing more, as if it were stopped.
    claimed = await other.claim("run-1", "n2", epoch=0)
    assert (claimed.owner, claimed.epoch) == ("n2", 1)
    with pytest.raises(BROKEN):
        async with asyncio.timeout(200):
            await connection.execute("select 1")
    with pytest.raises(BROKEN):
        await transaction.__aexit__(None, None, None)
    await away.write(begun(), 1)
    await away.close()
    await other.close()


async def test_connections_say_whose_they_are(store, database):
    """An administrator finds them in pg_stat_activity."""
    assert await store.runs() == []
    connection = await asyncpg.connect(database)
    names = await connection.fetch(
        "select application_name from pg_stat_activity "
        "where datname = current_database() and pid <> pg_backend_pid()"
    )
    await connection.close()
    assert {row["application_name"] for row in names} == {"flowstone"}


async def test_a_server_that_hangs_is_a_problem(store, database, monkeypatch):
    """It says nothing, so the time it takes is what there is to say."""
    monkeypatch.setattr(module, "_SILENCE", 0.05)
    assert store.problem is None
    connection = await asyncpg.connect(database)
    await store.create_run(run())
    async with connection.transaction():
        await connection.execute("lock table flowstone.runs")
        writing = asyncio.gather(store.write(begun()))
        async with asyncio.timeout(200):
            while store.problem is None:
                await asyncio.sleep(0.01)
        assert "has not answered for" in store.problem
    await writing
    assert store.problem is None
    await connection.close()


async def test_limits_meant_for_the_statements_of_people_stop_none_of_ours(database):
    """A role or a database may have a limit that a long statement of a large run never keeps."""
    name = database.rpartition("@/")[2].partition("?")[0]
    connection = await asyncpg.connect(database)
    await connection.execute(f"alter database \"{name}\" set statement_timeout = '500ms'")
    await connection.close()
    store = PostgresStore(database)
    await store.open()
    assert await store._database.patiently(lambda: _sleep(store), "sleeping", 30.0) == 1
    await store.close()


async def _sleep(store):
    async with store._database.transaction() as connection:
        return await connection.fetchval("select 1 from pg_sleep(0.7)")


def test_an_outage_of_some_questions_is_said_once(caplog):
    """While others are answered it is not over; it is when what was tried again has worked."""
    health = module.DatabaseHealth(Address.of("postgresql://db.internal/orders"))
    with health.retrying("recording what runs write") as failed:
        for _ in range(20):
            failed(asyncpg.QueryCanceledError("canceling statement due to statement timeout"))
            health.fine()
        assert "recording what runs write" in health.problem
        assert len(caplog.records) == 1
        health.fine()
    assert health.problem is None
    down, up = (record.message for record in caplog.records)
    assert "tried again" in down
    assert "statement timeout" in down
    assert "answers again" in up
