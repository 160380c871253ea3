"""What "comes back the same" means: equal, of the same type, all the way down."""

from __future__ import annotations

import dataclasses
import math
from collections import deque
from datetime import datetime, time

__all__ = ["assert_same"]


def assert_same(back, value, place="value"):
    """Fail unless `back` is exactly what `value` was, naming the place where it is not."""
    assert type(back) is type(value), f"{place}: {type(back)} instead of {type(value)}"
    if isinstance(value, float):
        assert math.copysign(1, back) == math.copysign(1, value) or math.isnan(value), place
        assert back == value or (math.isnan(back) and math.isnan(value)), place
    elif isinstance(value, datetime | time):
        assert (back, back.fold, str(back.tzinfo)) == (value, value.fold, str(value.tzinfo)), place
        assert type(back.tzinfo) is type(value.tzinfo), place
    elif isinstance(value, complex):
        assert_same([back.real, back.imag], [value.real, value.imag], place)
    elif isinstance(value, list | tuple | deque):
        assert getattr(back, "maxlen", None) == getattr(value, "maxlen", None), place
        assert len(back) == len(value), place
        for index, (left, right) in enumerate(zip(back, value, strict=True)):
            assert_same(left, right, f"{place}[{index}]")
    elif isinstance(value, dict):
        assert getattr(back, "default_factory", None) is getattr(value, "default_factory", None), place
        assert_same(list(back), list(value), f"{place}.keys()")
        assert_same(list(back.values()), list(value.values()), f"{place}.values()")
    elif isinstance(value, set | frozenset):
        assert sorted(map(_spelled, back)) == sorted(map(_spelled, value)), place
    elif dataclasses.is_dataclass(value):
        names = [field.name for field in dataclasses.fields(value)]
        assert_same([getattr(back, n) for n in names], [getattr(value, n) for n in names], f"{place}.*")
        assert_same(getattr(back, "__dict__", None), getattr(value, "__dict__", None), f"{place}.__dict__")
    elif not _is_not_a_number(value):
        assert back == value, place


def _spelled(item):
    if isinstance(item, frozenset):
        return f"frozenset {sorted(map(_spelled, item))}"
    if isinstance(item, tuple):
        return f"tuple {list(map(_spelled, item))}"
    return f"{type(item).__qualname__} {item!r}"


def _is_not_a_number(value):
    return hasattr(value, "is_nan") and value.is_nan()
