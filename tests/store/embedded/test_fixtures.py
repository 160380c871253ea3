"""The server and the databases that other tests are given."""

from __future__ import annotations

import asyncpg

from tests.postgres import fresh_database, make_template


async def tables(dsn: str) -> list[str]:
    connection = await asyncpg.connect(dsn)
    try:
        rows = await connection.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        return [row["tablename"] for row in rows]
    finally:
        await connection.close()


async def with_a_table(dsn: str) -> None:
    connection = await asyncpg.connect(dsn)
    await connection.execute("CREATE TABLE shop (id int)")
    await connection.close()


async def test_a_database_is_empty_and_ones_own(database, postgres_server):
    """What one test writes, no other sees."""
    await with_a_table(database)
    async with fresh_database(postgres_server) as other:
        assert other != database
        assert await tables(other) == []


async def test_a_database_is_dropped_while_somebody_is_connected(postgres_server):
    """A connection that a test forgot does not keep its database."""
    async with fresh_database(postgres_server) as dsn:
        forgotten = await asyncpg.connect(dsn)
    admin = await asyncpg.connect(postgres_server.dsn)
    names = [row["datname"] for row in await admin.fetch("SELECT datname FROM pg_database")]
    await admin.close()
    forgotten.terminate()
    assert dsn.partition("@/")[2].partition("?")[0] not in names


def test_a_template_is_copied(postgres_server):
    """Tables are made once and are in each copy; a template is made outside of any loop."""
    import asyncio

    async def copied() -> list[str]:
        async with fresh_database(postgres_server, name) as dsn:
            return await tables(dsn)

    name = make_template(postgres_server, "a_shop", with_a_table)
    assert asyncio.run(copied()) == ["shop"]
    assert asyncio.run(copied()) == ["shop"]
