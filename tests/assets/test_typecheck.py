"""Which declared types can never fit, and which are left alone."""
# ruff: noqa: UP006, UP007, UP035, UP045 - the old spellings are tested as well

from __future__ import annotations

import asyncio
from collections.abc import (
    Awaitable,
    Callable,
    Collection,
    Coroutine,
    Hashable,
    Iterable,
    Iterator,
    Mapping,
    Sequence,
)
from dataclasses import dataclass
from datetime import date
from typing import (
    Annotated,
    Any,
    Dict,
    Generic,
    List,
    Literal,
    LiteralString,
    NewType,
    Optional,
    Protocol,
    Self,
    TypedDict,
    TypeVar,
    TypeVarTuple,
    Union,
    Unpack,
)

import pytest
from pydantic import BaseModel
from typing_extensions import TypeAliasType

from flowstone.assets import (
    AllPartitions,
    DailyPartitions,
    MonthlyPartitions,
    MultiPartitions,
    Output,
    PartitionMapping,
    Pipeline,
    StaticPartitions,
    Unknown,
)
from flowstone.assets.type_overlap import can_satisfy
from flowstone.assets.typecheck import returned_value
from flowstone.errors import TypeMismatch

T = TypeVar("T")
Several = TypeVarTuple("Several")
T_contra = TypeVar("T_contra", contravariant=True)
CustomerId = NewType("CustomerId", int)
DAYS = DailyPartitions("2025-01-01")


class Base:
    """A class."""


class Derived(Base):
    """A class below it."""


class Row(TypedDict):
    """A dict with known keys."""

    id: int


class Readable(Protocol):
    """A shape, which any class may have."""

    def read(self) -> bytes: ...


class Priced:
    """A class of its own."""


class Order(Base):
    """A class of its own, beside the other."""


class PricedOrder(Priced, Order):
    """One that is both."""


class Page(BaseModel, Generic[T]):
    """A generic model."""

    items: list[T]


class IntPage(Page[int]):
    """A model of one kind of page."""


class Array(Generic[*Several]):
    """A class of several arguments."""


def lazily(value: Callable[[], Any]) -> Any:
    """An alias that may be made of itself, as a `type` statement makes it in newer versions of Python."""

    def read(_self: object) -> Any:
        return value()

    return type("TypeAliasType", (), {"__value__": property(read), "__name__": "Lazy"})()


Ids = TypeAliasType("Ids", list[int])
Outcome = TypeAliasType("Outcome", Output[list[int]])
Pairs = TypeAliasType("Pairs", list[tuple[T, T]], type_params=(T,))
Json = lazily(lambda: dict[str, Json] | list[Json] | int | str | None)
Tree = lazily(lambda: dict[str, Tree] | list[Tree] | float)
RemoteRuns = TypeAliasType("RemoteRuns", "Frame")  # noqa: F821 - that is what is tested


@dataclass
class Box(Generic[T]):
    """A generic class."""

    content: T


class Sink(Generic[T_contra]):
    """A generic class that takes what it is of."""

    def put(self, item: T_contra) -> None: ...


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        (int, int),
        (int, Any),
        (int, object),
        (bool, int),
        (int, float),
        (float, complex),
        (Derived, Base),
        (None, None),
        (None, Optional[int]),
        (int, int | None),
        (int, Optional[int]),
        (int | None, int),
        (int | str, str | bytes),
        (list[int], list[int]),
        (list[int], List[int]),
        (list[int], list),
        (list[int], Sequence[int]),
        (list[int], Iterable[float]),
        (list[Derived], list[Base]),
        (list[int | None], list[int]),
        (dict[str, int], Mapping[str, int]),
        (dict[str, int], Dict[str, int]),
        (dict[str, int], Iterable[str]),
        (tuple[int, str], tuple[int, str]),
        (tuple[int, ...], tuple[int, ...]),
        (tuple[int, int], tuple[int, ...]),
        (tuple[int, ...], Sequence[int]),
        (set[int], Collection[int]),
        (Annotated[int, "meters"], int),
        (int, Annotated[int, "meters"]),
        (CustomerId, CustomerId),
        (CustomerId, int),
        (Row, Row),
        (Row, dict),
        (Row, Mapping[str, Any]),
        (Literal["a"], str),
        (Literal["a"], Literal["a", "b"]),
        (Literal["a", "b"], Literal["b"]),
        (Box[int], Box[int]),
        (Box[int], Box),
        (str, Sequence),
        (Page[int], Page[Any]),
        (Page[int], Page),
        (Page, Page[int]),
        (Page[Any], Page[int]),
        (Page[bool], Page[float]),
        (IntPage, Page[Any]),
        (Page[int], BaseModel),
        (tuple[int, *tuple[str, ...]], tuple[int, str]),
        (tuple[int, str, str], tuple[int, *tuple[str, ...]]),
        (tuple[int, *tuple[str, ...]], tuple[int, *tuple[str, ...]]),
        (tuple[int, *tuple[str, ...]], tuple[int, *tuple[bytes, ...]]),
        (tuple[*tuple[int, ...], str], tuple[int, int, str]),
        (tuple[int, Unpack[tuple[str, ...]]], tuple[int, str]),  # noqa: UP044 - both spellings
        (tuple[int, *tuple[str, bytes]], tuple[int, str, bytes]),
        (tuple[int, *Several], tuple[int, str]),
        (Array[int, str], Array[int, *tuple[str, ...]]),
        (Priced, Order),
        (Order, Priced),
        (Json, dict[str, int]),
        (dict[str, list[int]], Json),
        (Json, Tree),
        (Ids, list[int]),
        (Pairs[int], list[tuple[int, int]]),
        (RemoteRuns, int),
    ],
)
def test_what_fits(given, wanted):
    """A value declared as the one can be the other."""
    assert can_satisfy(given, wanted) is not False


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        (int, str),
        (str, int),
        (float, int),
        (None, int),
        (int, None),
        (Base, int),
        (int | None, str),
        (int | str, bytes),
        (Optional[int], Union[str, bytes]),
        (list[int], str),
        (list[int], list[str]),
        (list[int], dict[str, int]),
        (list[int], Sequence[str]),
        (list[list[int]], list[list[str]]),
        (dict[str, int], dict[str, str]),
        (dict[str, int], Mapping[int, int]),
        (dict[str, int], Iterable[int]),
        (dict[str, int], list[str]),
        (tuple[int, str], tuple[int, int]),
        (tuple[int], tuple[int, int]),
        (tuple[int, ...], tuple[str, ...]),
        (tuple[int, ...], tuple[str, str]),
        (tuple[int, str], Sequence[bytes]),
        (set[int], list[int]),
        (set[int], set[str]),
        (Annotated[int, "meters"], str),
        (CustomerId, str),
        (str, CustomerId),
        (Row, int),
        (Row, list[int]),
        (Literal["a"], int),
        (Literal["a"], Literal["b"]),
        (Literal[1], Literal[True]),
        (int, Literal["a"]),
        (Box[int], Box[str]),
        (Box[int], int),
        (str, list[str]),
        (bytes, str),
        (date, str),
        (Callable[[int], str], int),
        (int, Callable[[int], str]),
        (type[int], int),
        (Iterator[int], list[int]),
        (Iterator[int], Iterator[str]),
        (Callable[[int], str], Callable[[int], int]),
        (Page[int], Page[str]),
        (Page[int], Order),
        (tuple[int, *tuple[str, ...]], tuple[str, str]),
        (tuple[int, *tuple[str, ...]], tuple[int, int]),
        (tuple[int, *tuple[str, ...], bytes], tuple[int]),
        (tuple[int, *tuple[str, ...]], tuple[bytes, *tuple[str, ...]]),
        (Ids, list[str]),
        (Pairs[int], list[tuple[int, str]]),
        (Json, bytes),
        (Row, Page[int]),
    ],
)
def test_what_never_fits(given, wanted):
    """No value declared as the one can be the other."""
    assert can_satisfy(given, wanted) is False


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        (Any, int),
        (object, int),
        (Base, Derived),
        (T, int),
        (int, T),
        (list[T], list[int]),
        (list, list[int]),
        (Sequence[int], list[int]),
        (int, CustomerId),
        (str, Literal["a"]),
        (int, Readable),
        (Unknown("Frame"), int),
        (int, Unknown("Frame")),
        (list[Unknown("Frame")], list[int]),
        (int, "Frame"),
        (dict, Row),
        (str, Sequence[str]),
        (tuple[int, ...], tuple[int, int]),
        (int, bool | None),
        (Hashable, Collection[int]),
        (Callable[[int], str], Callable[[bool], str]),
        (Sink[Base], Sink[str]),
        (Self, int),
        (LiteralString, int),
        (list[Self], list[int]),
    ],
)
def test_what_cannot_be_decided_is_left_alone(given, wanted):
    """Neither yes nor no; above all not no."""
    assert can_satisfy(given, wanted) is not False


@pytest.mark.parametrize(
    ("annotation", "value"),
    [
        (Output[int], int),
        (Output, Any),
        (Awaitable[int], int),
        (Coroutine[Any, Any, list[int]], list[int]),
        (Annotated[Output[int], "note"], int),
        (Output[Annotated[int, "note"]], int),
        (Coroutine, Any),
        (Output[int] | None, int | None),
        (Optional[Annotated[Output[int], "note"]], int | None),
        (Output[int] | Output[str], int | str),
        (Awaitable[Output[int] | None], int | None),
        (Output[Ids], list[int]),
        (Outcome, list[int]),
        (asyncio.Future[int], Any),
        (asyncio.Task[int] | None, Any | None),
        (int, int),
        (None, None),
    ],
)
def test_the_value_is_what_is_inside(annotation, value):
    """`Output`, awaitables and annotations are wrappings of the value."""
    assert returned_value(annotation) == value


# In a graph -------------------------------------------------------------------------------------------------


def graph(returns, takes, *, upstream=None, downstream=None, mapping=None) -> None:
    """Build the graph of two assets with these types and partitions."""
    pipeline = Pipeline("types")

    def up(): ...

    def down(up): ...

    up.__annotations__ = {"return": returns}
    down.__annotations__ = {"up": takes}
    pipeline.asset(partitions=upstream)(up)
    pipeline.asset(partitions=downstream, mappings=mapping)(down)
    assert pipeline.graph.order() == ["up", "down"]


def test_a_mismatch_names_both_assets_lines_and_types():
    """Everything needed to find and fix it."""
    with pytest.raises(TypeMismatch) as caught:
        graph(list[int], dict[str, int])
    message = str(caught.value)
    assert message.startswith("Asset 'down' (test_typecheck.py:")
    assert "takes up: dict[str, int], but asset 'up' (test_typecheck.py:" in message
    assert "gives list[int]" in message


def test_matching_and_missing_annotations_pass():
    """Without an annotation on either side there is nothing to compare."""
    graph(Output[list[int]], list[int])
    graph(None, None)
    pipeline = Pipeline("bare")

    @pipeline.asset
    def up(): ...

    @pipeline.asset
    def middle(up: int) -> str: ...

    @pipeline.asset(deps=["middle"])
    def down(up): ...

    assert len(pipeline.graph) == 3


def test_several_keys_come_as_a_dict():
    """The parameter is compared with a dict from the upstream's keys to its values."""
    months = {"upstream": DAYS, "downstream": MonthlyPartitions("2025-01")}
    graph(int, dict[date, int], **months)
    graph(int, Mapping[date, float], **months)
    graph(int, dict, **months)
    for wrong in (int, dict[str, int], dict[date, str], list[int]):
        with pytest.raises(TypeMismatch, match=r"gives dict\[.*date, int\]"):
            graph(int, wrong, **months)


@pytest.mark.parametrize(
    ("keys", "of"),
    [
        (StaticPartitions(["a"]), str),
        (StaticPartitions([1, "a"]), bytes),
        (MultiPartitions(a=DAYS), tuple),
    ],
)
def test_the_keys_of_the_dict_are_those_of_the_set(keys, of):
    """Text, tuples, or anything where the keys are of several types."""
    graph(int, dict[of, int], upstream=keys, downstream=DAYS, mapping={"up": AllPartitions()})


def test_an_asset_without_partitions_may_take_all_or_one():
    """All values as a dict or the one of a given key: both annotations pass, a third does not."""
    graph(int, dict[date, int], upstream=DAYS)
    graph(int, int, upstream=DAYS)
    with pytest.raises(TypeMismatch, match=r"gives dict\[.*\] or int"):
        graph(int, str, upstream=DAYS)


def test_constants_have_the_type_of_their_value():
    """A constant of the wrong type is found before anything runs."""
    pipeline = Pipeline("constants")
    pipeline.value("depth", "three")

    @pipeline.asset
    def report(depth: int): ...

    with pytest.raises(TypeMismatch, match=r"takes depth: int, but asset 'depth' .* gives str"):
        _ = pipeline.graph


def test_a_rule_of_your_own_may_leave_it_open():
    """A mapping that says neither is compared both ways."""

    class Either(PartitionMapping):
        """A dict or a value."""

        @property
        def many(self):
            return None

        def upstream_keys(self, key, upstream, downstream, /):
            return (key,)

    for fits in (int, dict[date, int]):
        graph(int, fits, upstream=DAYS, downstream=DAYS, mapping={"up": Either()})
