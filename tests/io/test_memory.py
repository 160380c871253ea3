from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowstone.errors import IOManagerError
from flowstone.io import MemoryIO, Target
from tests.io.contract import IOManagerContract, target


class TestMemoryIO(IOManagerContract):
    @pytest.fixture
    def manager(self):
        return MemoryIO()

    async def test_gives_back_the_very_object(self, manager):
        """Values are kept by reference, whatever they are."""
        value = object()
        stored = await manager.store(target(), value)
        assert await manager.load(stored.location) is value

    async def test_knows_neither_size_nor_digest(self, manager):
        """Nothing is encoded, so there is no size or digest to record."""
        stored = await manager.store(target(), [1])
        assert (stored.size, stored.digest, dict(stored.metadata), stored.payload) == (None, None, {}, None)

    async def test_two_managers_share_nothing(self, manager):
        """A value stored in one MemoryIO is not in another."""
        stored = await manager.store(target(), 1)
        other = MemoryIO()
        assert not await other.exists(stored.location)
        with pytest.raises(IOManagerError, match=r"another process"):
            await other.load(stored.location)

    async def test_counts_its_values(self, manager):
        """`len` and `repr` tell how many values are held."""
        stored = await manager.store(target(), 1)
        assert (len(manager), repr(manager)) == (1, "MemoryIO(1 value)")
        await manager.delete(stored.location)
        assert len(manager) == 0

    async def test_a_deleted_value_is_let_go(self, manager):
        """A deleted location may be stored to again: nothing is left of the old value."""
        stored = await manager.store(target(), 1)
        await manager.delete(stored.location)
        assert (await manager.store(target(), 2)).location == stored.location


part = st.text(st.sampled_from("a/%2f:."), max_size=6)
targets = st.builds(
    Target, part, st.none() | part | st.just("k" * 3000), part, st.integers(min_value=1, max_value=12)
)


@given(targets, targets)
def test_locations_are_injective(one, other):
    """Two targets have one location only if they are equal, slashes in any part notwithstanding."""
    locations = [
        MemoryIO().put(each.asset, each.partition_key, each.run_id, each.attempt, None)
        for each in (one, other)
    ]
    assert (locations[0] == locations[1]) == (one == other)
    assert len(locations[0]) <= 2000
