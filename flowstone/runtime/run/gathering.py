"""The value of an asset that goes through items, in the form in which a parameter takes it.

list[T], tuple[T, ...]          all of them, loaded before the function is called
AsyncIterator[T], Iterator[T]   one after the other, loaded as they are asked for
anything else                   the sequence itself (or the dict), which loads what is asked for
"""

from __future__ import annotations

import collections.abc
from typing import TYPE_CHECKING, Any, Final

from flowstone.assets.type_hints import Unknown, alternatives
from flowstone.runs.item_values import ItemValues
from flowstone.runtime.run.values import StoredValues

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable, Mapping

    from flowstone.assets.asset import Asset, Dependency

__all__ = ["gathered"]


async def gathered(asset: Asset[..., Any], dependency: Dependency, value: Any) -> Any:
    """What an asset is given of a value that came of items."""
    if not isinstance(value, ItemValues | dict):
        return value
    form = _form(dependency.annotation)
    on_loop = asset.run_in != "thread"  # Then nothing can be loaded while the function goes through them.
    if isinstance(value, StoredValues) and (form in (list, tuple) or (form is not _one_by_one and on_loop)):
        await value.all()
    if form is not None:
        return form(value.values() if isinstance(value, dict) else value)
    if asset.run_in == "process" and isinstance(value, ItemValues):
        return list(value)
    return value


def _form(annotation: Any) -> Callable[[Iterable[Any]], Any] | None:
    for each in alternatives(annotation, {}, {}):
        found = each.type
        name = found.name if isinstance(found, Unknown) else getattr(_origin(found), "__name__", "")
        if name in _FORMS:
            return _FORMS[name]
    return None


def _origin(annotation: Any) -> Any:
    return getattr(annotation, "__origin__", annotation)


async def _one_by_one(values: Iterable[Any]) -> AsyncIterator[Any]:
    if isinstance(values, collections.abc.AsyncIterable):
        async for value in values:
            yield value
        return
    for value in values:
        yield value


_FORMS: Final[Mapping[str, Callable[[Iterable[Any]], Any]]] = {
    "list": list,
    "List": list,
    "tuple": tuple,
    "Tuple": tuple,
    "Iterator": iter,
    "AsyncIterator": _one_by_one,
    "AsyncIterable": _one_by_one,
    "AsyncGenerator": _one_by_one,
}
