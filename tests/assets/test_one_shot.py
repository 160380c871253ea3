"""What can be read only once is found, wherever it is, without being read."""

from __future__ import annotations

import asyncio
import collections
import concurrent.futures
import csv
import dataclasses
import io
import itertools
import os
import sqlite3
import tempfile
from collections.abc import Iterable
from contextlib import closing
from unittest.mock import AsyncMock, MagicMock

import pydantic
import pytest

from flowstone import DefinitionError, Output, Pipeline
from flowstone.assets.one_shot import find_one_shot


class Own:
    """An iterator of the user's, which counts what is asked of it."""

    asked = 0

    def __iter__(self):
        Own.asked += 1
        return self

    def __next__(self):
        Own.asked += 1
        return 1


class Result:
    """A database's result: each `iter` gives what is left, so it is no iterator of itself."""

    def __iter__(self):
        yield from ()

    def __next__(self):
        raise StopIteration


class Readable:
    """Can be iterated over as often as one likes; doing so is expensive."""

    def __iter__(self):
        raise AssertionError("read")


async def numbers():
    yield 1


ITERATORS = {
    "generator": lambda: (n for n in [1]),
    "map": lambda: map(int, "1"),
    "zip": lambda: zip([1], [2], strict=True),
    "filter": lambda: filter(None, [1]),
    "enumerate": lambda: enumerate([1]),
    "reversed": lambda: reversed([1]),
    "iter of a list": lambda: iter([1]),
    "iter of a dict": lambda: iter({1: 2}),
    "iter of a call": lambda: iter(int, 1),
    "itertools.repeat of 3": lambda: itertools.repeat(1, 3),
    "itertools.tee": lambda: itertools.tee([1])[0],
    "csv.reader": lambda: csv.reader(["a,b"]),
    "csv.DictReader": lambda: csv.DictReader(["a,b"]),
    "os.scandir": lambda: _closed(os.scandir()),
    "an iterator of the user's": Own,
    "a result": Result,
}


def _closed(scan):
    scan.close()
    return scan


@pytest.mark.parametrize("make", ITERATORS.values(), ids=ITERATORS)
def test_iterators_are_found(make):
    """Whatever has `__next__` is found, and the remedy is a list."""
    found = find_one_shot(make())
    assert (found.path, found.instead) == ("", "list(...)")


@pytest.mark.parametrize(
    "make",
    [itertools.count, lambda: itertools.cycle([1]), lambda: itertools.repeat(1)],
    ids=["count", "cycle", "repeat"],
)
def test_what_never_ends_is_not_told_to_become_a_list(make):
    """`list(...)` of it would take all memory: the sentence says that a value must be finite."""
    explanation = find_one_shot([make()]).explanation()
    assert "never ends, and a value must be finite; return the part of it that is needed" in explanation
    assert "list(...)" not in explanation


def test_nothing_is_asked_of_what_is_looked_at():
    """Neither `iter` nor `next` is called, on what is refused and on what is not."""
    Own.asked = 0
    assert find_one_shot([Own()]) is not None
    assert Own.asked == 0
    assert find_one_shot([Readable()]) is None


def test_a_cursor_is_found():
    """What a database has still to give is read once."""
    with closing(sqlite3.connect(":memory:")) as connection:
        assert find_one_shot(connection.execute("select 1")) is not None


def test_open_files_are_found(tmp_path):
    """Files, closed ones too, and what wraps them are refused; the remedy is what they hold."""
    with (tmp_path / "x").open("w+", encoding="utf-8") as text, tempfile.NamedTemporaryFile() as temporary:
        for file in (text, text.buffer, temporary):
            assert find_one_shot(file).instead == "what it holds, such as file.read(), or its path"
    assert find_one_shot(text) is not None
    for buffer in (io.BytesIO(b"x"), io.StringIO("x")):
        assert find_one_shot(buffer).instead == "what it holds: buffer.getvalue()"
    assert find_one_shot(tmp_path) is None


async def test_what_is_still_to_be_computed_is_found():
    """Async generators, coroutines, tasks and futures of either kind are refused, each with its own remedy."""
    coroutine = asyncio.sleep(0)
    task = asyncio.create_task(asyncio.sleep(0))
    future = asyncio.get_running_loop().create_future()
    for value in (coroutine, task, future):
        assert find_one_shot(value).instead == "what it gives when it is awaited: await ..."
    assert find_one_shot(numbers()).instead == "[item async for item in ...]"
    assert find_one_shot(concurrent.futures.Future()).instead == "its result: future.result()"
    await coroutine
    await task


@dataclasses.dataclass
class Rows:
    items: Iterable[int]


@dataclasses.dataclass(slots=True)
class Slotted:
    items: Iterable[int]
    unset: int = dataclasses.field(init=False)


class Lazy(pydantic.BaseModel):
    items: Iterable[int]  # pydantic makes a lazy iterator of it.


class Bag(dict):
    """A dict whose own iteration raises."""

    def __iter__(self):
        raise AssertionError("read")

    items = values = __iter__


@pytest.mark.parametrize(
    ("value", "path"),
    [
        ([1, iter([])], "[1]"),
        ((iter([]),), "[0]"),
        ({"a": {1: iter([])}}, "['a'][1]"),
        ({"a": [(iter([]),)]}, "['a'][0][0]"),
        ({iter([])}, "[0]"),
        (collections.deque([iter([])]), "[0]"),
        (collections.OrderedDict(a=iter([])), "['a']"),
        (Bag(a=iter([])), "['a']"),
        (Rows(iter([])), ".items"),
        (Slotted(iter([])), ".items"),
        (Lazy(items=[1]), ".items"),
        (Output(iter([])), ".value"),
        ([*range(999), iter([])], "[999]"),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
def test_items_and_fields_are_looked_at(value, path):
    """An iterator inside a container or a field is found and its place is named."""
    assert find_one_shot(value).path == path


@pytest.mark.parametrize(
    "value",
    [
        None, 1, "text", b"", [], {}, range(3), {1: 2}.items(), memoryview(b"x"), int, Own, MagicMock(),
        AsyncMock(), ..., object(), [[[[iter([])]]]], Slotted([1]), Rows([1]),
    ],
    ids=lambda value: type(value).__name__,
)  # fmt: skip
def test_what_can_be_read_again_is_no_one_shot(value):
    """Values, ranges, views, classes and mocks are left alone, and so is what lies deeper than three containers."""
    assert find_one_shot(value) is None


def test_a_value_that_holds_itself_is_searched_once():
    """The search ends, however a value is tied together and however large it is."""
    loop = []
    loop.append(loop)
    loop += [{"loop": loop}, [loop] * 5_000, *([loop] for _ in range(5_000))]
    assert find_one_shot(loop) is None


def test_a_constant_that_can_be_read_only_once_is_refused_where_it_is_defined():
    """`pipeline.value` names the constant, its line and the remedy."""
    pipeline = Pipeline()
    with pytest.raises(
        DefinitionError, match=r"'config' \(test_one_shot.*of type map, .*; give list\(\.\.\.\)\.$"
    ):
        pipeline.value("config", map(str, [1]))
    assert not pipeline.assets
