"""Refuses a graph in which an asset's declared type can never be what a parameter downstream takes.

This is no type checker: it looks for the mistake of wiring the wrong asset to a parameter. What counts as
never, and what is left alone, is said in `type_overlap`.
"""

from __future__ import annotations

import collections.abc
import types
from typing import TYPE_CHECKING, Any, Union, get_args, get_origin

from flowstone.assets.output import Output
from flowstone.assets.type_hints import UNANNOTATED
from flowstone.assets.type_overlap import can_satisfy, unwrapped
from flowstone.errors import TypeMismatch

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from flowstone.assets.asset import Asset, Dependency
    from flowstone.assets.partition_mapping import PartitionMapping

__all__ = ["check_types", "returned_value"]

_SEQUENCES = (list, collections.abc.Sequence, collections.abc.Iterator, collections.abc.AsyncIterable)
# What an asset that goes through items can be taken as: all of them, or one after the other.
_GATHERED: tuple[Any, ...] = (
    list,
    collections.abc.Iterator,
    collections.abc.AsyncIterator,
)
_AWAITABLES = (collections.abc.Awaitable, collections.abc.Coroutine)


def check_types(
    assets: Mapping[str, Asset[..., Any]], mapping_of: Callable[[str, str], PartitionMapping]
) -> None:
    """Compare the two ends of every dependency whose value is loaded.

    Args:
        assets: The assets of a graph by name.
        mapping_of: The mapping between the keys of an asset and of one that it depends on.

    Raises:
        TypeMismatch: A value of the declared type can never satisfy the parameter; the message names both
            assets, their lines and both types.
    """
    for asset in assets.values():
        for dependency in asset.dependencies:
            annotation = dependency.annotation
            if annotation is UNANNOTATED or dependency.parameter is None:
                continue
            upstream = assets[dependency.asset]
            returned = upstream.return_type
            if returned is UNANNOTATED:
                continue
            many = mapping_of(asset.name, dependency.asset).many
            if asset.each is not None and asset.each.source == upstream.name:
                _check_item(asset, upstream, dependency, many=many)
            elif many is not False or returned != annotation or upstream.has_items:
                _check(asset, upstream, dependency, many=many)


def _check(
    asset: Asset[..., Any], upstream: Asset[..., Any], dependency: Dependency, *, many: bool | None
) -> None:
    given = _given(upstream, many=many)
    if not any(can_satisfy(each, dependency.annotation) is not False for each in given):
        raise _mismatch(asset, upstream, dependency, given)


def _check_item(
    asset: Asset[..., Any], upstream: Asset[..., Any], dependency: Dependency, *, many: bool | None
) -> None:
    """The parameter that takes one item of the upstream's value, or a list of some."""
    assert asset.each is not None
    found = [item for each in _given(upstream, many=many) for item in _items_of(each)]
    given = [types.GenericAlias(list, (item,)) for item in found] if asset.each.batch is not None else found
    if not given:
        raise TypeMismatch(
            f"Asset {asset.name!r} ({asset.source}) goes through the items of {upstream.name!r} "
            f"({upstream.source}), which gives {_shown(returned_value(upstream.return_type))}: let it return a "
            f"list, a tuple or a dict, or take its value whole, without each=."
        )
    if not any(can_satisfy(each, dependency.annotation) is not False for each in given):
        raise _mismatch(asset, upstream, dependency, given)


def _given(upstream: Asset[..., Any], *, many: bool | None) -> list[Any]:
    """What the parameter for an asset may be given."""
    value = returned_value(upstream.return_type)
    values = [value]
    if upstream.is_reader:
        values = [form for item in _items_of(value) or (Any,) for form in _gathered(item)]
    elif upstream.each is not None:
        values = _gathered(value)
    key_type = Any if upstream.partitions is None else upstream.partitions.key_type
    mappings = [types.GenericAlias(dict, (key_type, each)) for each in values]
    # A dependency that is a dict or a single value, as the step's key decides, has two chances.
    return mappings * (many is not False) + values * (many is not True)


def _gathered(value: Any) -> list[Any]:
    """What all results of an asset that goes through items are, in the forms in which they can be taken."""
    return [*(form[value] for form in _GATHERED), types.GenericAlias(dict, (Any, value))]


def _items_of(value: Any) -> tuple[Any, ...]:
    """The types that items of a value may have; none if it has no items to go through."""
    value = unwrapped(value)
    origin, arguments = get_origin(value) or value, get_args(value)
    if origin in (Union, types.UnionType):
        return tuple(item for each in arguments for item in _items_of(each))
    if not isinstance(origin, type) or issubclass(origin, str | bytes):
        return () if isinstance(origin, type) else (Any,)
    if issubclass(origin, collections.abc.Mapping):
        return (arguments[1] if len(arguments) == 2 else Any,)
    if issubclass(origin, tuple):
        return tuple(each for each in arguments if each is not ...) or (Any,)
    if issubclass(list, origin) or issubclass(origin, _SEQUENCES):
        return (arguments[0] if arguments else Any,)
    return ()


def _mismatch(
    asset: Asset[..., Any], upstream: Asset[..., Any], dependency: Dependency, given: list[Any]
) -> TypeMismatch:
    shown = " or ".join(dict.fromkeys(_shown(each) for each in given))
    if upstream.has_items:
        shown = " or ".join(dict.fromkeys(_shown(each) for each in given[:1]))
    return TypeMismatch(
        f"Asset {asset.name!r} ({asset.source}) takes {dependency.parameter}: "
        f"{_shown(dependency.annotation)}, but asset {upstream.name!r} ({upstream.source}) gives "
        f"{shown}: change one of the two annotations."
    )


def returned_value(annotation: Any) -> Any:
    """What an asset's value is by its return annotation: without `Output`, what is awaited and `Annotated`."""
    annotation = unwrapped(annotation)
    origin, arguments = get_origin(annotation) or annotation, get_args(annotation)
    if origin in (Union, types.UnionType):
        return Union[tuple(map(returned_value, arguments))]  # noqa: UP007 - as many as there are
    if origin is Output:
        return returned_value(arguments[0]) if arguments else Any
    if isinstance(origin, type) and issubclass(origin, collections.abc.Awaitable):
        # Of futures and awaitables of one's own nobody knows which argument is the value.
        return returned_value(arguments[-1]) if arguments and origin in _AWAITABLES else Any
    return annotation


def _shown(annotation: Any) -> str:
    """A type as it is written."""
    if isinstance(annotation, type) and get_origin(annotation) is None:
        return annotation.__qualname__
    return str(annotation).replace("typing.", "").replace("collections.abc.", "")
