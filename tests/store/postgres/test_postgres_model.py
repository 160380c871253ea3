"""Any order of calls: the Postgres store answers as the model does, and as the memory store."""

from __future__ import annotations

import asyncio

import asyncpg
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import RuleBasedStateMachine, run_state_machine_as_test

from flowstone.store import MemoryStore
from flowstone.store.postgres import PostgresStore
from tests.postgres import fresh_database
from tests.store.model import Model
from tests.store.test_store_model import Stores

KEPT = {"migrations", "duties"}  # What says which schema this is, and who has which duty.


def machine(dsn):
    """Both stores and the model get every call; the database is the same, emptied before each example."""

    class PostgresStores(Stores):
        def __init__(self) -> None:
            RuleBasedStateMachine.__init__(self)
            self.loop = asyncio.new_event_loop()
            self.do(empty(dsn))
            self.model = Model()
            self.memory = MemoryStore()
            self.postgres = PostgresStore(dsn)
            self.do(self.postgres.open())

        @property
        def stores(self):
            return (self.memory, self.postgres)

        def teardown(self) -> None:
            self.do(self.postgres.close())
            self.loop.close()

        async def compact_journal(self, waiting) -> None:
            """There is none."""

        def take_over(self, compacting) -> None:
            """A new process connects."""
            self.do(self.postgres.close())
            self.postgres = PostgresStore(dsn)
            self.do(self.postgres.open())

    return PostgresStores


async def empty(dsn) -> None:
    """Leave nothing but the schema."""
    connection = await asyncpg.connect(dsn)
    tables = await connection.fetch("select tablename from pg_tables where schemaname = 'flowstone'")
    names = ", ".join(f"flowstone.{row['tablename']}" for row in tables if row["tablename"] not in KEPT)
    await connection.execute(f"truncate {names}")
    await connection.close()


@pytest.mark.parametrize("worlds", [5, pytest.param(30, marks=pytest.mark.long)])
def test_postgres_answers_as_the_model(postgres_server, template_database, worlds):
    """Random worlds of runs, fences, values and retention."""

    async def world(stack):
        return await stack.__aenter__()

    loop = asyncio.new_event_loop()
    stack = fresh_database(postgres_server, template_database)
    dsn = loop.run_until_complete(world(stack))
    try:
        run_state_machine_as_test(
            machine(dsn),
            settings=settings(
                max_examples=worlds,
                phases=[Phase.explicit, Phase.reuse, Phase.generate],
                stateful_step_count=20,
                deadline=None,
                suppress_health_check=[HealthCheck.too_slow],
            ),
        )
    finally:
        loop.run_until_complete(stack.__aexit__(None, None, None))
        loop.close()
