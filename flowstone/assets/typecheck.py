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
            if many is not False or returned != annotation:
                _check(asset, upstream, dependency, many=many)


def _check(
    asset: Asset[..., Any], upstream: Asset[..., Any], dependency: Dependency, *, many: bool | None
) -> None:
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
