"""Whether a value declared as one type can be of another, where that can be decided.

The question is not "is every such value acceptable" but "can any be": `int | None` may go into `int`, a base
class into a subclass, and whatever cannot be decided (type variables, protocols, names that do not exist at
run time) may go anywhere. A false alarm would stop a correct pipeline; a miss is found by a type checker, or
at the latest by the asset. Only containers that are empty are not counted as values that fit: a list of int
is refused where one of str is wanted.

Two classes that are unrelated fit only if some class that exists is below both. That it could still be made
is no reason to accept `int` for `str | Path`.
"""

from __future__ import annotations

import collections.abc
import inspect
import types
import typing
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar, Union, get_args, get_origin, is_typeddict

from flowstone.assets.tuple_shapes import TupleShape, is_unpacked
from flowstone.assets.type_hints import Unknown, aliased

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = ["can_satisfy", "unwrapped"]

# PEP 484: an int is acceptable where a float is wanted, and both where a complex is.
_PROMOTIONS = {float: (int,), complex: (int, float), bytes: (bytearray, memoryview)}
_ITERABLES = (
    collections.abc.Iterable,
    collections.abc.Collection,
    collections.abc.Container,
    collections.abc.Reversible,
)
# Abstract classes whose type arguments mean the same as those of the concrete one.
_SAME_ARGUMENTS: dict[Any, tuple[Any, ...]] = {
    list: (*_ITERABLES, collections.abc.Sequence, collections.abc.MutableSequence),
    set: (*_ITERABLES, collections.abc.Set, collections.abc.MutableSet),
    frozenset: (*_ITERABLES, collections.abc.Set),
    dict: (collections.abc.Mapping, collections.abc.MutableMapping),
    collections.abc.Sequence: _ITERABLES,
    collections.abc.Set: _ITERABLES,
}
# Aliases may be made of themselves, and of ever larger ones: how many pairs are looked into.
_ALIASES_LOOKED_INTO = 100


def can_satisfy(given: Any, wanted: Any) -> bool | None:
    """Whether a value declared as `given` can be what is `wanted`; None where that cannot be decided."""
    return _Comparison().compare(given, wanted)


def unwrapped(annotation: Any) -> Any:
    """Without what says nothing about the value: `Annotated`, and the name that an alias gives it."""
    for _ in range(_ALIASES_LOOKED_INTO):
        if get_origin(annotation) is Annotated:
            annotation = get_args(annotation)[0]
        elif (alias := aliased(annotation)) is not None:
            annotation = alias
        else:
            break
    return annotation


class _Comparison:
    """One question, and what has been found of the aliases on the way to its answer."""

    __slots__ = ("_aliases",)

    def __init__(self) -> None:
        self._aliases: dict[tuple[Any, Any], bool | None] = {}

    def compare(self, given: Any, wanted: Any) -> bool | None:
        if aliased(given) is None and aliased(wanted) is None:
            return self._compare(_plain(given), _plain(wanted))
        pair = given, wanted
        if pair not in self._aliases:
            if len(self._aliases) == _ALIASES_LOOKED_INTO:
                return None
            self._aliases[pair] = None  # An alias inside itself is undecided.
            self._aliases[pair] = self._compare(_plain(given), _plain(wanted))
        return self._aliases[pair]

    def _compare(self, given: Any, wanted: Any) -> bool | None:
        if wanted is Any or wanted is object or given == wanted:
            return True
        if _is_undecidable(given) or _is_undecidable(wanted):
            return None
        return self._compare_known(given, wanted)

    def _compare_known(self, given: Any, wanted: Any) -> bool | None:
        if (members := _members(given)) is not None:
            return _any(self.compare(member, wanted) for member in members)
        if (members := _members(wanted)) is not None:
            return _any(self.compare(given, member) for member in members)
        if isinstance(given, typing.NewType):
            return self.compare(given.__supertype__, wanted)
        if isinstance(wanted, typing.NewType):
            # Every value of a NewType is one of its base at run time; the other way round only mypy knows.
            return _not_yes(self.compare(given, wanted.__supertype__))
        if Literal in (get_origin(given), get_origin(wanted)):
            return self._compare_literals(given, wanted)
        return self._compare_classes(given, wanted)

    def _compare_literals(self, given: Any, wanted: Any) -> bool | None:
        if get_origin(given) is not Literal:
            # Some value of the type may be the literal one.
            return _not_yes(self.compare(type(get_args(wanted)[0]), given))
        (value,) = get_args(given)
        if get_origin(wanted) is not Literal:
            return self.compare(type(value), wanted)
        (other,) = get_args(wanted)
        return bool(value == other and type(value) is type(other))

    def _compare_classes(self, given: Any, wanted: Any) -> bool | None:
        of_given, of_wanted = _class(given), _class(wanted)
        try:
            if issubclass(of_given, _PROMOTIONS.get(of_wanted, ())):
                return True
            below, above = issubclass(of_given, of_wanted), issubclass(of_wanted, of_given)
        except TypeError:
            return None
        if below:
            return self._compare_arguments(of_given, _parameters(given), of_wanted, _parameters(wanted))
        # Two interfaces may meet in one class; other classes do where there is one below both.
        interfaces = inspect.isabstract(of_given) and inspect.isabstract(of_wanted)
        return None if above or interfaces or _meet(of_given, of_wanted) else False

    def _compare_arguments(
        self, of_given: Any, given: tuple[Any, ...], of_wanted: Any, wanted: tuple[Any, ...]
    ) -> bool | None:
        if not wanted:
            return True
        if not given or any(each.__contravariant__ for each in _variables(of_wanted)):
            return None
        if of_given is tuple:
            return self._compare_tuples(TupleShape.of(given), of_wanted, wanted)
        if len(given) == len(wanted) and (
            of_given is of_wanted or of_wanted in _SAME_ARGUMENTS.get(of_given, ())
        ):
            return _all(map(self.compare, given, wanted))
        if of_given is dict and len(wanted) == 1 and of_wanted in _ITERABLES:
            return self.compare(given[0], wanted[0])
        return None

    def _compare_tuples(self, given: TupleShape, of_wanted: Any, wanted: tuple[Any, ...]) -> bool | None:
        if of_wanted is tuple:
            pairings = given.pairings(TupleShape.of(wanted))
            return _any(_all(self.compare(*pair) for pair in pairs) for pairs in pairings)
        if of_wanted not in (*_ITERABLES, collections.abc.Sequence):
            return None
        return _all(self.compare(each, wanted[0]) for each in given.always())


def _plain(annotation: Any) -> Any:
    annotation = unwrapped(annotation)
    if annotation is None:
        return types.NoneType
    return dict if is_typeddict(get_origin(annotation) or annotation) else annotation


def _is_undecidable(annotation: Any) -> bool:
    if annotation is Any or isinstance(annotation, Unknown | TypeVar | str | typing.ForwardRef):
        return True
    if isinstance(annotation, typing.NewType):
        return False
    origin = get_origin(annotation) or annotation
    if origin in (Union, types.UnionType, Literal):
        return False
    return is_unpacked(annotation) or not isinstance(origin, type) or getattr(origin, "_is_protocol", False)


def _members(annotation: Any) -> tuple[Any, ...] | None:
    """The alternatives of a union; of a literal, each value as a literal of its own."""
    origin = get_origin(annotation)
    if origin in (Union, types.UnionType):
        return get_args(annotation)
    if origin is Literal and len(get_args(annotation)) > 1:
        return tuple(Literal[each] for each in get_args(annotation))
    return None


def _class(annotation: Any) -> Any:
    """The class without its type arguments."""
    return _pydantic_generic(annotation).get("origin") or get_origin(annotation) or annotation


def _parameters(annotation: Any) -> tuple[Any, ...]:
    """The type arguments of a class."""
    return _pydantic_generic(annotation).get("args") or get_args(annotation)


def _pydantic_generic(annotation: Any) -> Any:
    # Pydantic makes a class of its own of each `Page[int]`, which is no subclass of `Page[Any]`.
    return vars(annotation).get("__pydantic_generic_metadata__", {}) if isinstance(annotation, type) else {}


def _variables(cls: Any) -> Iterator[TypeVar]:
    parameters = _pydantic_generic(cls).get("parameters") or getattr(cls, "__parameters__", ())
    return (each for each in parameters if isinstance(each, TypeVar))


def _meet(one: type, other: type) -> bool:
    """Whether there is a class below both."""
    waiting: list[type] = [one]
    seen = {one}
    while waiting:
        below: list[type] = type.__subclasses__(waiting.pop())
        for cls in below:
            if other in cls.__mro__:
                return True
            if cls not in seen:
                seen.add(cls)
                waiting.append(cls)
    return False


def _not_yes(answer: bool | None) -> bool | None:
    return False if answer is False else None


def _any(answers: Iterable[bool | None]) -> bool | None:
    undecided = False
    for answer in answers:
        if answer:
            return True
        undecided = undecided or answer is None
    return None if undecided else False


def _all(answers: Iterable[bool | None]) -> bool | None:
    undecided = False
    for answer in answers:
        if answer is False:
            return False
        undecided = undecided or answer is None
    return None if undecided else True
