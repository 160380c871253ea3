"""A root of its own for each test, and managers whose threads end with it."""

from __future__ import annotations

import pytest

from flowstone.io import FileIO
from flowstone.store.postgres import PostgresStore


@pytest.fixture
async def run_store(database):
    """An open store in a fresh database."""
    store = PostgresStore(database)
    await store.open()
    yield store
    await store.close()


@pytest.fixture
def root(tmp_path):
    """A folder that does not exist yet."""
    return tmp_path / "warehouse"


@pytest.fixture
async def files(root):
    """A FileIO on an empty root."""
    manager = FileIO(root)
    yield manager
    await manager.teardown()
