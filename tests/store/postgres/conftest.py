"""A database with the schema in it, copied for each test, and a store on it."""

from __future__ import annotations

import pytest

from flowstone.store.postgres import PostgresStore
from tests.postgres import make_template


@pytest.fixture(scope="session")
def template_database(postgres_server):
    """A database with the newest schema."""

    async def fill(dsn: str) -> None:
        await PostgresStore(dsn).migrate()

    return make_template(postgres_server, "flowstone_template", fill)


@pytest.fixture
async def store(database):
    """An open store on a fresh database."""
    store = PostgresStore(database)
    await store.open()
    yield store
    await store.close()
