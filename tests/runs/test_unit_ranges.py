"""Units from any of them on are those that come when all are gone through."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowstone.assets.each import Batch, Each
from flowstone.runs.unit_ranges import UnitRanges
from flowstone.runs.units import END, Unit, UnitError, Units

EACH = [
    Each("x"),
    Each("x", key="item {}".format),
    Each("x", batch=3),
    Each("x", batch=Batch(size=4, by=lambda item: item // 5)),
    Each("x", batch=Batch(max_bytes=20), key=str),
]


def all_of(units: Units) -> list[Unit]:
    found = []
    while isinstance(unit := units.next(), Unit):
        found.append(unit)
    assert unit is END
    return found


@pytest.mark.parametrize("each", EACH)
@pytest.mark.parametrize("named", [True, False])
@given(st.integers(0, 40), st.lists(st.integers(0, 45), max_size=5), st.integers(1, 50))
def test_they_are_the_same_in_any_order(each, named, count, positions, most):
    """Wherever it begins, in whatever order the ranges come, and however few items are looked at in a turn."""
    source: Any = {f"n{item}": item for item in range(count)} if named else range(count)
    whole = all_of(Units.of(each, source))
    ranges = UnitRanges(each, source)
    for position in positions:
        while not ranges.look_for(position, most):
            pass
        units = ranges.since(position)
        assert units.position == position
        assert all_of(units) == whole[position:]


@pytest.mark.parametrize("each", EACH)
def test_no_item_is_looked_at_twice(each):
    """To find where the ranges begin: the items in all, not for each range."""

    class Counted(int):
        looked_at = 0

        def __floordiv__(self, other):
            Counted.looked_at += 1
            return int(self) // other

        def __reduce__(self):
            Counted.looked_at += 1
            return int, (int(self),)

    source = [Counted(item) for item in range(1_000)]
    ranges = UnitRanges(each, source)
    for position in range(200):
        ranges.look_for(position, 10_000)
        ranges.since(position)
    assert Counted.looked_at <= 1_000
    names = {str(item): item for item in source}
    of_names = UnitRanges(each, names)
    assert of_names.since(1)._names is of_names.since(0)._names


def test_what_a_function_of_the_user_raises_is_told():
    """As where all are gone through."""

    def by(item):
        raise ValueError("https://ada:s3cr3t@host/")

    ranges = UnitRanges(Each("x", batch=Batch(by=by)), [1, 2])
    with pytest.raises(UnitError, match=r"Batch\(by=…\) raised ValueError: https://ada:\*\*\*@host/"):
        ranges.look_for(1, 10)
