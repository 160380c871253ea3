"""A node beats from a thread: a blocked event loop keeps its lease, one that never comes back does not."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace

import asyncpg
import pytest

from flowstone.store.cluster import Notification
from flowstone.store.postgres import PostgresStore, heartbeat
from tests.store.cluster_contract import Heard, node, nothing

SHORT = replace(node("n1"), lease=0.4)


async def until(condition):
    """Ask again until it is so, for ten seconds at most."""
    async with asyncio.timeout(200):
        while not await condition():
            await asyncio.sleep(0.01)


async def alive(store) -> bool:
    return (await store.cluster.nodes())[0].seems_alive


async def test_a_blocked_loop_costs_no_lease(store):
    """Three leases long nothing else runs on the loop, and nobody noticed."""
    lost = []
    await store.cluster.join(SHORT, lambda: lost.append(1))
    time.sleep(3 * SHORT.lease)  # noqa: ASYNC251 - the blocked loop is what is tested
    assert await alive(store)
    await asyncio.sleep(0)
    assert lost == []


async def test_a_loop_that_never_comes_back_loses_its_lease(store, database, monkeypatch):
    """After many leases the thread stops beating for it."""
    monkeypatch.setattr(heartbeat, "_PATIENCE", 1.0)
    await store.cluster.join(SHORT, nothing)

    def beats() -> int:
        async def look() -> int:
            connection = await asyncpg.connect(database)
            found = await connection.fetchval("select beats from flowstone.nodes")
            await connection.close()
            return found

        return asyncio.run(look())

    deadline = time.monotonic() + 60
    before, after = 0, 1
    while before != after:  # In a lease there are four beats.
        assert time.monotonic() < deadline
        before = await asyncio.to_thread(beats)
        time.sleep(SHORT.lease)  # noqa: ASYNC251 - the blocked loop is what is tested
        after = await asyncio.to_thread(beats)


async def test_a_node_without_a_connection_comes_back(store, database):
    """Its backend is terminated: it beats again on another connection, and its lease was never over."""
    lost = []
    await store.cluster.join(replace(SHORT, lease=5.0), lambda: lost.append(1))
    before = (await store.cluster.nodes())[0].beat_at
    store.cluster.heartbeat.hurry()

    async def beaten() -> bool:
        return (await store.cluster.nodes())[0].beat_at > before

    await until(beaten)
    await terminate_all(database)
    before = (await store.cluster.nodes())[0].beat_at
    store.cluster.heartbeat.hurry()
    await until(beaten)
    assert await alive(store)
    assert lost == []


async def test_a_listener_without_a_connection_comes_back(store, database):
    """It looks at once, because it may have missed something, and hears again."""
    heard = Heard()
    await store.cluster.join(node("n1"), nothing)
    with heard.of(store):
        await terminate_all(database)

        async def hears() -> bool:
            await store.cluster.tell(Notification("tree", "n1"))
            return Notification("tree", "n1") in heard

        await until(hears)
        assert Notification("look") in heard


async def test_a_forgotten_node_joins_again(store, database):
    """Retention took its row, after a day without a beat: it is told that its lease was over."""
    lost = asyncio.Event()
    await store.cluster.join(SHORT, lost.set)
    connection = await asyncpg.connect(database)
    await connection.execute("delete from flowstone.nodes")
    await connection.close()
    async with asyncio.timeout(200):
        await lost.wait()
    assert await alive(store)


async def test_a_closed_store_does_not_beat(database):
    """The thread ends with the store."""
    store = PostgresStore(database)
    await store.open()
    await store.cluster.join(SHORT, nothing)
    heartbeat = store.cluster.heartbeat
    await store.close()
    await asyncio.to_thread(heartbeat._thread.join, 10)
    assert not heartbeat._thread.is_alive()


@pytest.mark.parametrize("calls", [1, 2])
async def test_what_is_wrong_shows_and_passes(store, database, calls):
    """`problem` is None again after the storm."""
    await terminate_all(database)
    for _ in range(calls):
        assert await store.runs() == []
    assert store.problem is None


async def terminate_all(database) -> None:
    """Cut every other connection to the database."""
    connection = await asyncpg.connect(database)
    await connection.execute(
        "select pg_terminate_backend(pid) from pg_stat_activity "
        "where datname = current_database() and pid <> pg_backend_pid()"
    )
    await connection.close()


async def test_a_beat_that_comes_after_leaving_changes_nothing(store, database):
    """It was under way when the node left; the node stays gone."""
    await store.cluster.join(SHORT, nothing)
    heartbeat = store.cluster.heartbeat
    await store.cluster.leave("n1")
    connection = await asyncpg.connect(database)
    await heartbeat._beat(connection)
    await connection.close()
    assert not await alive(store)
