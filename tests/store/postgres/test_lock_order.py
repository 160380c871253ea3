"""No two statements that write ever wait for each other: every pair of them, again and again, on the same rows."""

from __future__ import annotations

import asyncio
import re

import asyncpg
import pytest

from flowstone.store.postgres import PostgresStore
from flowstone.store.postgres.sql import _folder, query
from tests.postgres import make_template
from tests.store.postgres.lock_rounds import fill, preparations, procedure, transactions

FEW, MANY = 10, 100
"""Rounds for each pair: always, and in the long run."""

WRITES = re.compile(
    r"(insert into|update|delete from) flowstone\.|\bfor (update|share)\b"
    r"|flowstone\.(record|exchange_slots|define_pools|forget_claims|set_pool|reserve_turns|tell_events)\("
    r"|flowstone\.(create_unless_under_way|want|leave_run|watch_nodes)\("
)
ALONE = {"create_schema", "note_migration", "drop_queue_trigger", "lock_schema"}
"""Of migrations, which hold a lock that keeps everybody else out."""


@pytest.fixture(scope="session")
def template_database(postgres_server):
    """A database with something in it for everybody to collide on, and the procedures."""

    async def fill_it(dsn: str) -> None:
        store = PostgresStore(dsn)
        await store.open()
        await fill(store)
        async with store._database.transaction() as connection:
            for number, transaction in enumerate(transactions().values()):
                await connection.execute(procedure(number, transaction))
        await store.close()

    return make_template(postgres_server, "flowstone_locks_template", fill_it)


def names():
    """What is in the test."""
    return list(transactions())


TABLES = [each.tables for each in transactions().values()]


def test_every_statement_that_writes_is_among_them():
    """A new file with a statement that writes, or locks rows, is missed here."""
    files = {
        file.name.removesuffix(".sql") for file in _folder("queries").iterdir() if file.name.endswith(".sql")
    }
    writing = {name for name in files if WRITES.search(query(name))} - ALONE
    tested = {name for each in transactions().values() for name in each.names}
    assert writing - tested == set()
    assert tested - files == {"enqueue"}


@pytest.fixture
async def pair(database):
    """Two connections."""
    connections = [await asyncpg.connect(database) for _ in range(2)]
    for connection in connections:
        await connection.execute("; ".join(preparations()))
    yield connections
    for connection in connections:
        await connection.close()


@pytest.mark.parametrize("rounds", [FEW, pytest.param(MANY, marks=pytest.mark.long)])
@pytest.mark.parametrize("first", range(len(names())), ids=names())
async def test_no_pair_of_transactions_deadlocks(pair, first, rounds):
    """In so many rounds each, both on the same rows, in whatever order they are named."""
    blamed = []
    for second in range(first, len(names())):
        if TABLES[first].isdisjoint(TABLES[second]):
            continue
        told = await asyncio.gather(
            pair[0].execute(f"call rounds_{first}({rounds}, 0)"),
            pair[1].execute(f"call rounds_{second}({rounds}, 1)"),
            return_exceptions=True,
        )
        for each in told:
            if isinstance(each, asyncpg.DeadlockDetectedError):
                blamed.append((names()[first], names()[second], each.detail))
            elif isinstance(each, BaseException):
                raise each
    assert blamed == []
