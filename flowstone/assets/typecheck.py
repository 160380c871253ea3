"""Decides whether a declared return type can satisfy a parameter's annotation, where that can be decided.

This is no type checker: it looks for the mistake of wiring the wrong asset to a parameter. So the question is
not "is every such value acceptable" but "can any be": `int | None` may go into `int`, a base class into a
subclass, and whatever cannot be decided (type variables, protocols, names that do not exist at run time) may
go anywhere. A false alarm would stop a correct pipeline; a miss is found by mypy, or at the latest by the
asset.
"""

from __future__ import annotations

import collections.abc
import inspect
import types
import typing
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar, Union, get_args, get_origin, is_typeddict

from flowstone.assets.output import Output
from flowstone.assets.type_hints import UNANNOTATED, Unknown
from flowstone.errors import TypeMismatch

if TYPE_CHECKING:
    from collections.abc import Iterable

    from flowstone.assets.asset import Asset, Dependency
    from flowstone.assets.graph import AssetGraph

__all__ = ["can_satisfy", "check_types"]

_AWAITABLES = (collections.abc.Awaitable, collections.abc.Coroutine)
# PEP 484: an int is acceptable where a float is wanted, and both where a complex is.
_PROMOTIONS = {float: (int,), complex: (int, float), bytes: (bytearray, memoryview)}


def check_types(graph: AssetGraph) -> None:
    """Compare the two ends of every dependency whose value is loaded.

    Raises:
        TypeMismatch: A value of the declared type can never satisfy the parameter; the message names both
            assets, their lines and both types.
    """
    for asset in graph.assets.values():
        for dependency in asset.dependencies:
            annotation = dependency.annotation
            if annotation is UNANNOTATED or dependency.parameter is None:
                continue
            returned = graph.assets[dependency.asset].return_type
            if returned is UNANNOTATED:
                continue
            many = graph.mapping_of(asset.name, dependency.asset).many
            if many is not False or returned != annotation:
                _check(graph, asset, dependency, many=many)


def _check(graph: AssetGraph, asset: Asset[..., Any], dependency: Dependency, *, many: bool | None) -> None:
    upstream = graph.assets[dependency.asset]
    value = returned_value(upstream.return_type)
    key_type = Any if upstream.partitions is None else upstream.partitions.key_type
    mapping = types.GenericAlias(dict, (key_type, value))
    # A dependency that is a dict or a single value, as the step's key decides, has two chances.
    given = [mapping] * (many is not False) + [value] * (many is not True)
    if not any(can_satisfy(each, dependency.annotation) is not False for each in given):
        shown = " or ".join(_shown(each) for each in given)
        raise TypeMismatch(
            f"Asset {asset.name!r} ({asset.source}) takes {dependency.parameter}: "
            f"{_shown(dependency.annotation)}, but asset {upstream.name!r} ({upstream.source}) gives "
            f"{shown}: change one of the two annotations."
        )


def returned_value(annotation: Any) -> Any:
    """What an asset's value is by its return annotation: without `Annotated`, `Awaitable` and `Output`."""
    while True:
        origin, arguments = get_origin(annotation), get_args(annotation)
        if origin is Annotated:
            annotation = arguments[0]
        elif (origin in _AWAITABLES or origin is Output) and arguments:
            annotation = arguments[-1]
        elif annotation is Output or annotation in _AWAITABLES:
            return Any
        else:
            return annotation


def can_satisfy(given: Any, wanted: Any) -> bool | None:
    """Whether a value declared as `given` can be what is `wanted`; None where that cannot be decided."""
    given, wanted = _plain(given), _plain(wanted)
    if wanted is Any or wanted is object or given == wanted:
        return True
    if _is_undecidable(given) or _is_undecidable(wanted):
        return None
    if (members := _members(given)) is not None:
        return _any(can_satisfy(member, wanted) for member in members)
    if (members := _members(wanted)) is not None:
        return _any(can_satisfy(given, member) for member in members)
    if isinstance(wanted, typing.NewType):
        # Every value of a NewType is one of its base at run time; the other way round only mypy knows.
        return None if can_satisfy(given, wanted.__supertype__) is not False else False
    return _compare_classes(given, wanted)


def _plain(annotation: Any) -> Any:
    """Without what says nothing about the value."""
    while True:
        if get_origin(annotation) is Annotated:
            annotation = get_args(annotation)[0]
        elif annotation is None:
            return types.NoneType
        elif is_typeddict(annotation):
            return dict
        else:
            return annotation


def _is_undecidable(annotation: Any) -> bool:
    if annotation is Any or isinstance(annotation, Unknown | TypeVar | str | typing.ForwardRef):
        return True
    if isinstance(annotation, typing.NewType):
        return False
    origin = get_origin(annotation) or annotation
    if origin in (Union, types.UnionType, Literal):
        return False
    return not isinstance(origin, type) or getattr(origin, "_is_protocol", False)


def _members(annotation: Any) -> tuple[Any, ...] | None:
    """The alternatives of a union; of a literal, each value as a literal of its own."""
    origin = get_origin(annotation)
    if origin in (Union, types.UnionType):
        return get_args(annotation)
    if origin is Literal and len(get_args(annotation)) > 1:
        return tuple(Literal[each] for each in get_args(annotation))
    return None


def _any(answers: Iterable[bool | None]) -> bool | None:
    found: set[bool | None] = set(answers)
    return True if True in found else None if None in found else False


def _all(answers: Iterable[bool | None]) -> bool | None:
    found: set[bool | None] = set(answers)
    return False if False in found else None if None in found else True


def _compare_classes(given: Any, wanted: Any) -> bool | None:
    if isinstance(given, typing.NewType):
        return can_satisfy(given.__supertype__, wanted)
    if get_origin(given) is Literal:
        (value,) = get_args(given)
        if get_origin(wanted) is Literal:
            return value == get_args(wanted)[0] and type(value) is type(get_args(wanted)[0])
        return can_satisfy(type(value), wanted)
    if get_origin(wanted) is Literal:
        # Some value of the type may be the literal one.
        return None if can_satisfy(type(get_args(wanted)[0]), given) is not False else False
    return _compare_generics(given, wanted)


def _compare_generics(given: Any, wanted: Any) -> bool | None:
    of_given, of_wanted = get_origin(given) or given, get_origin(wanted) or wanted
    if of_given in _PROMOTIONS.get(of_wanted, ()):
        return True
    try:
        below, above = issubclass(of_given, of_wanted), issubclass(of_wanted, of_given)
    except TypeError:
        return None
    if not below:
        # Two interfaces may meet in one class; any other two classes that are unrelated do not.
        return None if above or (inspect.isabstract(of_given) and inspect.isabstract(of_wanted)) else False
    return _compare_arguments(of_given, get_args(given), of_wanted, get_args(wanted))


def _compare_arguments(
    of_given: Any, given: tuple[Any, ...], of_wanted: Any, wanted: tuple[Any, ...]
) -> bool | None:
    if not wanted:
        return True
    if not given or any(each.__contravariant__ for each in getattr(of_wanted, "__parameters__", ())):
        return None
    if of_given is tuple:
        return _compare_tuples(given, of_wanted, wanted)
    if len(given) == len(wanted) and (
        of_given is of_wanted or of_wanted in _SAME_ARGUMENTS.get(of_given, ())
    ):
        return _all(map(can_satisfy, given, wanted))
    if of_given is dict and len(wanted) == 1 and of_wanted in _ITERABLES:
        return can_satisfy(given[0], wanted[0])
    return None


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


def _compare_tuples(given: tuple[Any, ...], of_wanted: Any, wanted: tuple[Any, ...]) -> bool | None:
    repeated = len(given) == 2 and given[1] is ...
    if of_wanted is not tuple:
        if of_wanted not in (*_ITERABLES, collections.abc.Sequence):
            return None
        return _all(can_satisfy(each, wanted[0]) for each in (given[:1] if repeated else given))
    if len(wanted) == 2 and wanted[1] is ...:
        return _all(can_satisfy(each, wanted[0]) for each in (given[:1] if repeated else given))
    if repeated:
        return None if _all(can_satisfy(given[0], each) for each in wanted) is not False else False
    return _all(map(can_satisfy, given, wanted)) if len(given) == len(wanted) else False


def _shown(annotation: Any) -> str:
    """A type as it is written."""
    if isinstance(annotation, type) and get_origin(annotation) is None:
        return annotation.__qualname__
    return str(annotation).replace("typing.", "").replace("collections.abc.", "")
