"""Which values are encoded at once."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from datetime import date, datetime, tzinfo

import pytest
from hypothesis import given

from flowstone.io.codecs.classes import Classes
from flowstone.io.codecs.encoding import encode_tree
from flowstone.io.postgres import is_small
from tests.io.test_codecs_json import trees


@dataclass
class Line:
    """An instance of a user's class."""

    sku: str


class Zone(tzinfo):
    """A time zone of the user's own."""


ROUND: list = []
ROUND.append(ROUND)


@pytest.mark.parametrize(
    "value",
    [
        None,
        1,
        2.5,
        "x" * 1000,
        b"x" * 1000,
        [1, (2, {3})],
        {"a": {"b": [date(2025, 1, 15)]}},
        list(range(300)),
    ],
)
def test_small_values_are_small(value):
    """Plain values of a few hundred parts."""
    assert is_small(value)


@pytest.mark.parametrize(
    "value",
    [
        "x" * 100_000, b"x" * 100_000, 1 << 1_000_000, list(range(10_000)), ["x" * 10_000] * 10,
        dict.fromkeys(range(1000)), {n: str(n) for n in range(300)}, ROUND,
    ],
    ids=["text", "bytes", "int", "list", "texts", "keys", "dict", "round"],
)  # fmt: skip
def test_large_values_are_not(value):
    """Whatever makes them large; going round in circles ends."""
    assert not is_small(value)


@pytest.mark.parametrize(
    "value", [Line("x"), [Line("x")], OrderedDict(), datetime(2025, 1, 1, tzinfo=Zone())]
)
def test_other_classes_are_never_small(value):
    """What their code does is their own affair."""
    assert not is_small(value)


@given(trees)
def test_what_is_small_is_soon_encoded(value):
    """No small value becomes much."""
    if is_small(value):
        assert len(encode_tree(value, Classes())) < 200_000
