"""Anything becomes JSON: nothing a user records can fail a write or fill the disk."""

from __future__ import annotations

import enum
import json
import uuid
from collections import OrderedDict, UserDict, deque
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from pathlib import PurePosixPath
from typing import NamedTuple

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowstone.store import json_safe

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**900), 2**900)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
)


class Colour(enum.Enum):
    """An enum of users."""

    RED = "red"


class Level(enum.IntEnum):
    """An enum that is an int as well."""

    HIGH = 3


class Loud(str):
    """A text with a mind of its own."""

    __slots__ = ()

    def __str__(self):
        return "!"


@dataclass
class Point:
    """A record of users."""

    x: int
    y: object


class Pair(NamedTuple):
    """A tuple of users."""

    left: int
    right: int


@settings(deadline=None)
@given(json_values)
def test_json_stays_as_it_is(value):
    """What is JSON already comes back equal, types included."""
    safe = json_safe(value)
    assert safe == value
    assert json.dumps(safe) == json.dumps(value)


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        (float("nan"), "nan"),
        (float("-inf"), "-inf"),
        (2**1000, "<int of 1001 bits>"),
        ("a\ud800b", "a\ufffdb"),
        ({"k\udfff": "\ud83d\ude00"}, {"k\ufffd": "\U0001f600"}),
        ({1: "a", None: "b", (1, 2): "c"}, {"1": "a", "None": "b", "(1, 2)": "c"}),
        (OrderedDict(a=(1, 2)), {"a": [1, 2]}),
        (UserDict(a=deque([1])), {"a": [1]}),
        ({3, 1, 2}, [1, 2, 3]),
        (frozenset({"b", "a"}), ["a", "b"]),
        ({1, "a", None}, ["a", 1, None]),
        (date(2025, 1, 15), "2025-01-15"),
        (datetime(2025, 1, 15, tzinfo=UTC), "2025-01-15T00:00:00+00:00"),
        (time(1, 2), "01:02:00"),
        (timedelta(hours=1), "1:00:00"),
        (b"\xff\x00", "base64:/wA="),
        (bytearray(b"a"), "base64:YQ=="),
        (memoryview(b"a"), "base64:YQ=="),
        (Colour.RED, "red"),
        (Level.HIGH, 3),
        (Loud("quiet"), "quiet"),
        (True, True),
        (Point(1, {2}), {"x": 1, "y": [2]}),
        (Pair(1, 2), [1, 2]),
        (Decimal("1.10"), "1.10"),
        (uuid.UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        (PurePosixPath("a/b"), "a/b"),
        (int, "<class 'int'>"),
        (1 + 2j, "(1+2j)"),
    ],
)
def test_other_values_have_one_form(value, kept):
    """Each kind of value is kept in the form that the table promises, alone and in a dict."""
    safe = json_safe({"value": value})
    assert json_safe(value) == safe["value"]
    assert json.dumps(safe, allow_nan=False, sort_keys=True) == json.dumps({"value": kept}, sort_keys=True)


class Number:
    """A scalar as numeric libraries have them."""

    def __init__(self, **special) -> None:
        self.__class__ = type(
            "Scalar", (), {name: lambda _, value=value: value for name, value in special.items()}
        )


def test_numbers_of_other_libraries_are_numbers():
    """A scalar that can be an index is an int, one that can be a float is a float."""
    assert json_safe({"rows": Number(__index__=3)}) == {"rows": 3}
    assert json_safe({"mean": Number(__float__=1.5)}) == {"mean": 1.5}
    assert json_safe({"mean": Number(__float__=float("nan"))}) == {"mean": "nan"}


def test_a_data_frame_is_shown():
    """A data frame in metadata becomes its short text, not its data."""
    shown = json_safe({"frame": pl.DataFrame({"n": range(100_000)})})["frame"]
    assert "shape: (100_000, 1)" in shown
    assert len(shown) < 2_000


def hostile(**methods):
    """An object whose special methods raise."""

    def fail(self, *arguments):
        raise methods["error"]

    return type("Hostile", (), dict.fromkeys(methods["names"], fail))()


@pytest.mark.parametrize("error", [ValueError("no"), SystemExit(1), KeyboardInterrupt(), RecursionError()])
@pytest.mark.parametrize("names", [["__str__", "__repr__"], ["__index__"], ["__float__"]])
def test_hostile_values_are_named(error, names):
    """A value that raises while it is looked at is replaced by a note; its neighbours stay."""
    safe = json_safe({"bad": hostile(error=error, names=names), "good": 1})
    assert safe == {"bad": f"<Hostile: {type(error).__name__} while it was recorded>", "good": 1}


def test_a_hostile_mapping_is_named():
    """A mapping whose iteration raises costs only itself."""

    class Broken(UserDict):
        def __iter__(self):
            raise SystemExit

        def items(self):
            raise SystemExit

    assert json_safe([Broken(), 1]) == ["<Broken: SystemExit while it was recorded>", 1]


def test_endless_values_end():
    """Cycles and endless nesting stop at a depth of twenty."""
    loop: dict = {}
    loop["self"] = loop
    assert json.dumps(json_safe(loop)).count("self") == 21
    deep: list = []
    for _ in range(100_000):
        deep = [deep]
    assert json.dumps(json_safe(deep)) == "[" * 21 + '"..."' + "]" * 21


def test_many_values_are_cut():
    """Beyond ten thousand values one mark stands for the rest, also for endless mappings and wide trees."""
    safe = json_safe(list(range(50_000)))
    assert len(safe) == 10_000
    assert safe[-2:] == [9_998, "..."]
    wide = [[list(range(100))] * 100] * 100
    assert json.dumps(json_safe(wide)).count(",") < 11_000


def test_long_texts_are_cut():
    """One text has at most 100,000 characters, all of them a million; a cut text says how long it was."""
    safe = json_safe("x" * 10**6)
    assert safe == "x" * 100_000 + "... (1,000,000 characters)"
    assert len(json.dumps(json_safe({str(number): "x" * 90_000 for number in range(100)}))) < 1_100_000
    assert len(json_safe(b"x" * 10**7)) <= 100_030


def test_the_copy_is_its_own():
    """Changing the value afterwards does not change what was kept."""
    value = {"a": 1}
    safe = json_safe(value)
    value["a"] = 2
    assert safe == {"a": 1}


np = pytest.importorskip("numpy")
pd = pytest.importorskip("pandas")
pa = pytest.importorskip("pyarrow")


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        (np.bool_(True), True), (np.int8(3), 3), (np.uint64(2**64 - 1), 2**64 - 1), (np.float32(0.5), 0.5),
        (np.longdouble(1.5), 1.5), (np.float64("nan"), "nan"), (np.str_("x"), "x"), (np.bytes_(b""), "base64:"),
        (np.complex128(1j), "1j"), (np.datetime64("2025-01-01T12:00"), "2025-01-01T12:00"),
        (np.datetime64("NaT", "s"), None), (np.timedelta64(5, "ns"), "5 nanoseconds"), (np.array([1, 2]), [1, 2]),
        (np.array([[True], [False]]), [[True], [False]]), (np.array(5), 5), (np.array([]), []),
        (np.array(["2025-01-01"], "M8[D]"), ["2025-01-01"]), (np.array([None, {"a": (1,)}]), [None, {"a": [1]}]),
        (np.ma.array([1, 2], mask=[0, 1]), [1, None]), (pd.Timestamp("2025-01-01"), "2025-01-01T00:00:00"),
        (pd.NaT, None), (pd.NA, None), (pd.Series([1, 2]), [1, 2]), (pd.Index(["a"]), ["a"]),
        (pl.Series([1, None]), [1, None]), (pa.array([1, None]), [1, None]), (pa.scalar(5), 5),
        ({np.int64(1): np.bool_(False)}, {"1": False}), ([{np.int8(1)}], [[1]]),
    ],
    ids=lambda value: f"{type(value).__name__} {value!r:.30}",
)  # fmt: skip
def test_what_other_libraries_compute_keeps_its_meaning(value, kept):
    """A flag stays a flag, a moment a moment, an array an array of its items, and nothing is null."""
    safe = json_safe(value)
    assert safe == kept
    assert type(safe) is type(kept)
    assert json.loads(json.dumps(safe, allow_nan=False)) == kept


def test_a_large_array_is_cut_item_by_item():
    """An array far beyond the cap is not made a list of first."""

    class Counted:
        ndim = 1
        asked = 0

        def tolist(self):
            raise AssertionError("all of it")

        def __iter__(self):
            for number in range(10**9):
                Counted.asked += 1
                yield number

    assert len(json_safe(Counted())) <= 10_001
    assert Counted.asked <= 10_001
