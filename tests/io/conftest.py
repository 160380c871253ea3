"""A root of its own for each test, and managers whose threads end with it."""

from __future__ import annotations

import pytest

from flowstone.io import FileIO

pytest.register_assert_rewrite("tests.io.contract", "tests.io.exactness")


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
