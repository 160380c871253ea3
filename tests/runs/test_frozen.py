"""`@frozen` makes the same sort of class as `@dataclass(frozen=True, slots=True)`, faster."""

import copy
import dataclasses
import inspect
import pickle
import typing
from dataclasses import KW_ONLY, FrozenInstanceError, dataclass, field, fields, replace
from typing import Any, ClassVar, Generic, TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowstone.frozen import frozen

T = TypeVar("T")


def _definition(decorator):
    """One class with all that is supported, made by either decorator."""

    class Record:
        """A record."""

        kind: ClassVar[str] = "record"
        a: object
        b: object = None
        c: dict[str, int] = field(default_factory=dict)
        note: str = field(default="", compare=False, repr=False)
        _: KW_ONLY
        d: int = 0

        @property
        def both(self):
            return self.a, self.b

    Record.__qualname__ = "Record"
    return decorator(Record)


Plain = _definition(dataclass(frozen=True, slots=True))
Fast = _definition(frozen)

VALUES = st.one_of(st.none(), st.integers(-2, 2), st.floats(), st.text(max_size=2), st.booleans())
ARGUMENTS = st.tuples(VALUES, VALUES, st.dictionaries(st.text(max_size=1), st.integers(0, 1), max_size=1))
OPTIONS = st.fixed_dictionaries({}, optional={"note": st.text(max_size=1), "d": st.integers(0, 1)})


@frozen
class Point:
    """Two numbers."""

    x: float
    y: float = 0.0


@frozen
class Empty:
    """Nothing at all."""


@frozen
class One:
    """One value, of which an attrgetter makes no tuple."""

    value: Any


@frozen
class Box(Generic[T]):
    """Something, checked."""

    content: T
    size: int = 1

    def __post_init__(self) -> None:
        if self.size < 0:
            raise ValueError(self.size)
        if self.size == 0:
            object.__setattr__(self, "size", 1)


@frozen
class Labelled(Point):
    """A subclass with a field more."""

    label: str = ""


class Open(Point):
    """A subclass that is not decorated and has a dict."""


class Bare(Point):
    """A subclass that is not decorated and has the very layout of its base."""

    __slots__ = ()


@given(ARGUMENTS, OPTIONS, ARGUMENTS, OPTIONS)
def test_equality_and_repr_are_those_of_a_dataclass(some, options, others, other_options):
    """Whatever is in them, nan included."""
    plain, fast = Plain(*some, **options), Fast(*some, **options)
    assert repr(fast) == repr(plain)
    assert (fast == Fast(*others, **other_options)) == (plain == Plain(*others, **other_options))
    assert (fast == copy.copy(fast), fast == plain, fast != plain) == (plain == copy.copy(plain), False, True)
    assert dataclasses.astuple(fast) == dataclasses.astuple(plain) or str(fast) == str(plain)
    assert replace(fast, d=5) == Fast(*some, **options | {"d": 5})
    assert fast.both == plain.both


@given(VALUES)
def test_hashes_are_those_of_equal_values(value):
    """Records are keys of dicts and members of sets."""
    assert hash(Point(value, value)) == hash((value, value))
    assert hash(One(value)) == hash((value,))
    assert {Empty(): 1}[Empty()] == 1
    with pytest.raises(TypeError, match="unhashable"):
        hash(Fast(1))


def test_what_describes_the_class_is_that_of_a_dataclass():
    """Fields, positional patterns, signature and type hints."""
    described = [
        [(each.name, each.type, each.default, each.default_factory, each.kw_only) for each in fields(kind)]
        for kind in (Plain, Fast)
    ]
    assert described[0] == described[1]
    assert Fast.__match_args__ == Plain.__match_args__ == ("a", "b", "c", "note")
    assert Fast.__slots__ == Plain.__slots__
    assert [*inspect.signature(Fast).parameters] == [*inspect.signature(Plain).parameters]
    hints = typing.get_type_hints(Point.__init__)
    assert hints == {"x": float, "y": float, "return": type(None)}
    assert Fast.kind == "record"
    match Point(1.0, 2.0):
        case Point(x, y):
            assert (x, y) == (1.0, 2.0)


@pytest.mark.parametrize("record", [Point(1.0), Box("a"), Labelled(1.0, label="l"), Open(1.0), Bare(1.0)])
def test_a_record_cannot_be_changed(record):
    """Nor can one of a subclass; nothing is left of how it was filled."""
    for name in ("x", "content", "new", "__class__"):
        with pytest.raises(FrozenInstanceError, match=f"cannot assign to field '{name}'"):
            setattr(record, name, 5)
        with pytest.raises(FrozenInstanceError, match=f"cannot delete field '{name}'"):
            delattr(record, name)
    assert type(record).__name__ in {"Point", "Box", "Labelled", "Open", "Bare"}
    assert type(record) in {Point, Box, Labelled, Open, Bare}


def test_what_is_made_of_a_subclass_is_of_that_subclass():
    """Decorated or not, with the layout of its base or another."""
    assert Labelled(1.0, 2.0, "l") != Point(1.0, 2.0)
    assert (Labelled(1.0, 2.0, "l").label, Labelled(1.0).y) == ("l", 0.0)
    for kind in (Open, Bare):
        made = kind(1.0)
        assert type(made) is kind
        assert (made.x, made.y) == (1.0, 0.0)
        assert made == kind(1.0, 0.0)
        assert made != Point(1.0)


@pytest.mark.parametrize(
    "record", [Point(1.0), Empty(), One([1]), Box("a", 2), Labelled(1.0, 2.0, "l"), Bare(1.0)]
)
@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_records_are_pickled_and_copied(record, protocol):
    """Worker processes are sent them, and what comes back is equal and frozen."""
    twins = pickle.loads(pickle.dumps(record, protocol)), copy.copy(record), copy.deepcopy(record)
    for twin in twins:
        assert twin == record
        assert type(twin) is type(record)
        with pytest.raises(FrozenInstanceError):
            twin.x = 5


def test_each_record_gets_a_default_of_its_own_from_a_factory():
    """As it does in a dataclass; and the factory is called only where nothing is given."""
    first, second = Fast(1), Fast(1)
    assert first.c == {}
    assert first.c is not second.c
    given = {"x": 1}
    assert Fast(1, c=given).c is given


def test_post_init_sees_a_record_that_is_frozen_already():
    """It checks and may amend, as in a dataclass; what it raises leaves nothing behind."""
    assert Box("a", 0).size == 1
    with pytest.raises(ValueError, match="-1"):
        Box("a", -1)
    assert Box[str]("a") == Box("a")


def test_arguments_that_do_not_fit_are_refused():
    """By Python itself, in the words it has for any function."""
    for call in (Point, lambda: Point(1.0, 2.0, 3.0), lambda: Point(1.0, z=2.0), lambda: Empty(1)):
        with pytest.raises(TypeError, match=r"__init__\(\)"):
            call()


def test_a_record_that_contains_itself_can_be_shown():
    """Its repr ends."""
    content: list[Any] = []
    record = One(content)
    content.append(record)
    assert repr(record) == "One(value=[...])"


def test_methods_of_its_own_are_kept():
    """And one that compares in its own way is hashed by its fields, as a frozen dataclass is."""

    @frozen
    class Own:  # noqa: PLW1641 - `frozen` gives it a hash
        """Compares the size."""

        a: str

        def __eq__(self, other):
            return len(self.a) == len(other.a)

        def __repr__(self):
            return "own"

    assert Own("a") == Own("b")
    assert repr(Own("a")) == "own"
    assert hash(Own("a")) == hash(("a",))
