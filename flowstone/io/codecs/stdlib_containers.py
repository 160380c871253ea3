"""The containers of `collections`, each with what it has beyond a dict or a list: an order, a factory, a length.

Exact types only: a subclass would come back as its base. So would attributes that somebody gave to an instance.
"""

from __future__ import annotations

from collections import Counter, OrderedDict, defaultdict, deque
from typing import TYPE_CHECKING, Any, Final

from flowstone.io.codecs.codec import CodecError, type_name

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

__all__ = ["STDLIB_CONTAINERS", "STDLIB_CONTAINER_TAGS", "encode_stdlib_container"]

STDLIB_CONTAINERS: Final[frozenset[type]] = frozenset({OrderedDict, defaultdict, Counter, deque})
"""The types that `encode_stdlib_container` takes."""

_FACTORIES: Final[Mapping[str, Callable[[], Any]]] = {
    kind.__name__: kind
    for kind in (list, dict, set, tuple, frozenset, int, float, complex, str, bytes, bool, *STDLIB_CONTAINERS)
}


def encode_stdlib_container(
    value: Any,
    items: Callable[[Collection[Any]], list[Any]],
    pairs: Callable[[Mapping[Any, Any]], list[Any]],
) -> dict[str, Any]:
    """The container as a tagged object.

    Args:
        value: An instance of one of `STDLIB_CONTAINERS`.
        items: Encodes items one by one.
        pairs: Encodes keys and values one by one.

    Raises:
        CodecError: It has attributes, or a factory that cannot be found again by name.
    """
    if getattr(value, "__dict__", None):
        raise CodecError(
            f"it contains a {type_name(value)} with attributes of its own", "return a dataclass instead"
        )
    if isinstance(value, deque):
        return {"$deque": [items(value), value.maxlen]}
    if isinstance(value, defaultdict):
        return {"$defaultdict": [_factory_name(value.default_factory), pairs(value)]}
    return {f"${type(value).__name__.lower()}": pairs(value)}


def _factory_name(factory: Callable[[], Any] | None) -> str | None:
    if factory is None:
        return None
    name: str = getattr(factory, "__name__", "")
    if _FACTORIES.get(name) is not factory:
        raise CodecError(
            f"it contains a defaultdict whose factory, {factory!r:.80}, cannot be found again by name",
            "return dict(value)",
        )
    return name


def _decode_defaultdict(content: list[Any]) -> defaultdict[Any, Any]:
    name, pairs = content
    return defaultdict(None if name is None else _FACTORIES[name], pairs)


STDLIB_CONTAINER_TAGS: Final[Mapping[str, Callable[[Any], object]]] = {
    "$ordereddict": OrderedDict,
    "$counter": lambda pairs: Counter(dict(pairs)),
    "$deque": lambda content: deque(*content),
    "$defaultdict": _decode_defaultdict,
}
"""How each is rebuilt, by tag."""
