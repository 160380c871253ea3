"""A town of nodes."""

from __future__ import annotations

import pytest

from tests.runtime.cluster.scene import Town


@pytest.fixture
async def town(clock):
    """No node yet; all of them are left at the end."""
    async with Town(clock) as town:
        yield town
