"""What every IO manager promises; run it on your own by giving `IOManagerContract` a `manager` fixture.

class TestMine(IOManagerContract):
    @pytest.fixture
    async def manager(self):
        yield MyIO(...)
"""

from __future__ import annotations

import asyncio
import itertools
from itertools import combinations

import pytest

from flowstone.errors import IOManagerError
from flowstone.io import IOManager, Stored, Target

__all__ = ["HOSTILE_KEYS", "ONE_SHOTS", "IOManagerContract", "target"]

HOSTILE_KEYS = [
    None, "", " ", ".", "..", "../../etc/passwd", "/etc/passwd", "\\\\server\\share", "C:\\x", "a/b", "a\\b",
    "a", "A", "a.", "a ", "-rf", "~", "~none", "~empty", "None", "none", "CON", "con", "con.txt", "NUL",
    "com1", "LPT9", "%2e%2e", "%", "+a", "x" * 150, "x" * 151, "X" * 150, "x" * 5000, "é", "e\u0301", "ß",
    "ss", "ﬁ", "fi", "İ", "i", "I", "K", "\u212a", "\x00", "\n", "\ud800", "日本語" * 50, "🎉",
    "d:2025-01-15", "2025-01-15", "t:WzFd",
]  # fmt: skip
"""Partition keys that have broken somebody's storage."""

ONE_SHOTS = {
    "generator": lambda: (n for n in (1, 2)),
    "map": lambda: map(int, "12"),
    "filter": lambda: filter(None, [1, 0, 2]),
    "iterator of a list": lambda: iter([1, 2]),
    "reversed": lambda: reversed([2, 1]),
    "itertools": lambda: itertools.chain([1], [2]),
}
"""What gives its items to the first who asks, each holding 1 and 2; some of them pickle."""


def target(key=None, *, asset="orders", run_id="run", attempt=1):
    """A target with everything that does not matter filled in."""
    return Target(asset, key, run_id, attempt)


class IOManagerContract:
    """Subclass it with a fixture `manager` that yields an empty manager able to store `str` and `dict`."""

    def test_satisfies_the_protocol(self, manager):
        """The manager has the four methods of an IO manager."""
        assert isinstance(manager, IOManager)

    async def test_loads_what_was_stored(self, manager):
        """A stored value comes back equal, as often as it is asked for."""
        stored = await manager.store(target(), {"a": [1, 2.5, None, "ü"]})
        assert isinstance(stored, Stored)
        assert await manager.load(stored.location) == {"a": [1, 2.5, None, "ü"]}
        assert await manager.load(stored.location) == {"a": [1, 2.5, None, "ü"]}

    async def test_none_is_a_value(self, manager):
        """None is stored and loaded like any other value."""
        stored = await manager.store(target(), None)
        assert await manager.exists(stored.location)
        assert await manager.load(stored.location) is None

    @pytest.mark.parametrize("make", ONE_SHOTS.values(), ids=ONE_SHOTS)
    async def test_what_can_be_read_only_once_is_refused(self, manager, make):
        """What has its items for the first reader only is refused unread, and the error says what to return."""
        value = make()
        with pytest.raises(IOManagerError, match=r"'orders'.*can be read only once.*; return .*\.$"):
            await manager.store(target(), value)
        assert list(value) == [1, 2]
        with pytest.raises(IOManagerError, match=r"value\['rows'\]\[0\] is of type .*can be read only once"):
            await manager.store(target(), {"rows": [make()]})

    async def test_no_two_targets_share_a_location(self, manager):
        """Asset, key, run and attempt each make another location, however alike their text."""
        targets = [
            target(), target(asset="Orders"), target("1"), target("orders"), target(run_id="run-1"),
            target(run_id="RUN"), target(run_id="run/1"), target("2", run_id="run"), target(attempt=2),
            target(attempt=11), target(run_id="run-1", attempt=11), target(run_id="run", attempt=12),
            target(run_id="run/orders"), target(run_id="a%2fb"), target(run_id="a/b"),
        ]  # fmt: skip
        locations = [(await manager.store(each, f"value {n}")).location for n, each in enumerate(targets)]
        assert len(set(locations)) == len(targets)
        assert [await manager.load(location) for location in locations] == [
            f"value {n}" for n in range(len(targets))
        ]

    async def test_keeps_every_partition_key_apart(self, manager):
        """Every partition key, hostile ones included, has a location of its own that fits a record."""
        locations = [(await manager.store(target(key), f"value of {key!r}")).location for key in HOSTILE_KEYS]
        assert all(len(location) <= 2000 for location in locations)
        for (left, one), (right, other) in combinations(zip(HOSTILE_KEYS, locations, strict=True), 2):
            assert one != other, (left, right)
        for key, location in zip(HOSTILE_KEYS, locations, strict=True):
            assert await manager.load(location) == f"value of {key!r}"

    async def test_never_replaces_a_value(self, manager):
        """A second store for one target may be refused or go elsewhere; the first value stays."""
        first = await manager.store(target(), "first")
        try:
            second = await manager.store(target(), "second")
        except IOManagerError:
            pass
        else:
            assert second.location != first.location
        assert await manager.load(first.location) == "first"

    async def test_refuses_to_store_the_same_again(self, manager):
        """The very same value for the very same attempt is refused, and says to use a new attempt."""
        first = await manager.store(target(), "value")
        with pytest.raises(IOManagerError, match=r"'orders'.*new attempt"):
            await manager.store(target(), "value")
        assert await manager.load(first.location) == "value"

    async def test_a_later_attempt_leaves_the_earlier_value(self, manager):
        """Attempt 2 does not change what attempt 1 stored."""
        first = await manager.store(target(attempt=1), "one")
        second = await manager.store(target(attempt=2), "two")
        assert [await manager.load(first.location), await manager.load(second.location)] == ["one", "two"]

    async def test_delete_removes_one_value_only(self, manager):
        """A deleted value is gone, its neighbours stay, and deleting it again is no error."""
        first = await manager.store(target("a"), "a")
        second = await manager.store(target("b"), "b")
        await manager.delete(first.location)
        await manager.delete(first.location)
        assert [await manager.exists(first.location), await manager.exists(second.location)] == [False, True]
        assert await manager.load(second.location) == "b"

    async def test_loading_what_is_gone_says_what_to_do(self, manager):
        """Loading a deleted value raises an error that names the location and a remedy."""
        stored = await manager.store(target(), "value")
        await manager.delete(stored.location)
        with pytest.raises(IOManagerError, match=r"(?s)^Cannot load .*Materialize") as raised:
            await manager.load(stored.location)
        assert stored.location in str(raised.value)

    @pytest.mark.parametrize(
        "location", ["", "nowhere", "../../etc/passwd", "/etc/passwd", "a/b/c", "memory:x"]
    )
    async def test_a_foreign_location_is_an_error(self, manager, location):
        """What is no location of this manager does not exist, and loading it raises an IOManagerError."""
        assert not await manager.exists(location)
        with pytest.raises(IOManagerError):
            await manager.load(location)

    async def test_stores_many_at_a_time(self, manager):
        """Fifty concurrent stores, then fifty concurrent loads, each get their own value."""
        stored = await asyncio.gather(*(manager.store(target(str(n)), f"value {n}") for n in range(50)))
        values = await asyncio.gather(*(manager.load(each.location) for each in stored))
        assert values == [f"value {n}" for n in range(50)]
