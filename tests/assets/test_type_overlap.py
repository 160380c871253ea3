"""Whatever types a value is declared as at both ends of an edge, the edge is not refused."""
# ruff: noqa: UP006, UP007, UP035, UP045 - the old spellings are tested as well

from __future__ import annotations

from collections.abc import (
    Collection,
    Hashable,
    Iterable,
    Mapping,
    MutableMapping,
    MutableSequence,
    Sequence,
    Sized,
)
from dataclasses import dataclass
from typing import (
    Annotated,
    Any,
    Generic,
    List,
    Literal,
    NamedTuple,
    NewType,
    Optional,
    Protocol,
    TypedDict,
    TypeVar,
    Union,
)

from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel
from typing_extensions import TypeAliasType

from flowstone.assets import Output, Unknown
from flowstone.assets.type_overlap import can_satisfy
from flowstone.assets.typecheck import returned_value

T = TypeVar("T")


class Named(Protocol):
    """A shape."""

    name: str


class Left:
    """One side."""


class Right:
    """The other side."""


class Both(Left, Right):
    """A class below two that know nothing of each other."""

    name = "both"


class Pair(NamedTuple):
    """A tuple with names."""

    left: int
    right: str


class Row(TypedDict, total=False):
    """A dict with names."""

    id: int


@dataclass
class Box(Generic[T]):
    """A generic class."""

    content: T


class Page(BaseModel, Generic[T]):
    """A generic model."""

    items: list[T]


def classes_of(value: object, *, wanted: bool) -> list[Any]:
    """The classes, as they are written, of a value that is no container; where wanted, an int is a float."""
    found: list[Any] = [
        type(value),
        NewType("Special", type(value)),
        TypeAliasType("Alias", type(value)),
        T,
        Unknown("RemoteRuns"),
    ]
    if type(value) in (int, str, bool):
        found += [Literal[value], Literal["other", value]]
    if isinstance(value, int):
        found += [int, float, complex] if wanted else [int]
    if isinstance(value, str):
        found += [Sequence[str], Iterable[str], Collection, Sized]
    if isinstance(value, Both):
        found += [Left, Right, Named]
    if isinstance(value, Pair):
        found += [tuple, tuple[int, str], tuple[Any, ...], Sequence[Any]]
    return [*found, None] if value is None else found


def wrapped(plain: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """The type as it is, or as part of something that says as much."""
    return st.one_of(
        plain,
        plain,
        st.sampled_from([Any, object]),
        plain.map(lambda each: Optional[each]),
        plain.map(lambda each: Union[bytes, each]),
        plain.map(lambda each: Annotated[each, "note"]),
    )


@st.composite
def types_of(draw: st.DrawFn, value: Any, *, wanted: bool) -> Any:
    """An annotation that a value satisfies."""
    match value:
        case list():
            element = Union[tuple(draw(types_of(each, wanted=wanted)) for each in value)]
            forms = [list[element], List[element], list, Sequence[element], Iterable[element]]
            forms += [MutableSequence[element], Collection[element]]
        case dict():
            key = Union[tuple(draw(types_of(each, wanted=wanted)) for each in value)]
            element = Union[tuple(draw(types_of(each, wanted=wanted)) for each in value.values())]
            forms = [
                dict[key, element],
                dict,
                Mapping[key, element],
                MutableMapping[key, element],
                Iterable[key],
            ]
            forms += [Row] if all(type(each) is str for each in value) else []
        case Pair():
            forms = classes_of(value, wanted=wanted)
        case tuple():
            each = tuple(draw(types_of(part, wanted=wanted)) for part in value)
            element = Union[each]
            cut = draw(st.integers(0, len(each) - 1))
            rest = Union[each[cut:]]
            forms = [tuple[each], tuple, tuple[element, ...], Sequence[element], Hashable]
            forms += [tuple[(*each[:cut], *tuple[rest, ...])]]
        case Box():
            forms = [Box[draw(types_of(value.content, wanted=wanted))], Box]
        case Page():
            forms = [Page[int], Page[Any], Page, BaseModel, *([Page[float]] if wanted else [])]
        case _:
            forms = classes_of(value, wanted=wanted)
    return draw(wrapped(st.sampled_from(forms)))


leaves = st.one_of(
    st.sampled_from([None, True, 1, "a", 0.5, b"x", Both(), Pair(1, "a"), Exception(), Page[int](items=[1])]),
)
values = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.lists(inner, min_size=1, max_size=3),
        st.lists(inner, min_size=1, max_size=3).map(tuple),
        st.dictionaries(st.sampled_from(["a", 1, None]), inner, min_size=1, max_size=3),
        inner.map(Box),
    ),
    max_leaves=6,
)


@settings(deadline=None, max_examples=50)
@given(st.data())
def test_two_types_of_one_value_fit_each_other(data):
    """What some value satisfies at both ends is never refused."""
    value = data.draw(values)
    one, other = data.draw(types_of(value, wanted=False)), data.draw(types_of(value, wanted=True))
    assert can_satisfy(one, other) is not False


@settings(deadline=None, max_examples=50)
@given(st.data())
def test_what_is_around_a_value_does_not_make_it_unfit(data):
    """`Output`, alone or as one side of a union, gives the value that is inside."""
    value = data.draw(values)
    one, other = data.draw(types_of(value, wanted=False)), data.draw(types_of(value, wanted=True))
    returned = data.draw(
        st.sampled_from([Output[one], Optional[Output[one]], Annotated[Output[one], "note"]])
    )
    assert can_satisfy(returned_value(returned), other) is not False
