"""A database with the schema in it, copied for each test, and a store on it."""

from __future__ import annotations

import pytest

from flowstone.store.postgres import PostgresStore


@pytest.fixture
async def store(database):
    """An open store on a fresh database."""
    store = PostgresStore(database)
    await store.open()
    yield store
    await store.close()
