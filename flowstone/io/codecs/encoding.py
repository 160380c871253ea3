"""Any tree of values as JSON that says what JSON cannot: `{"$tuple": [1, 2]}` is the tuple `(1, 2)`.

Plain JSON values stand for themselves, so an ordinary list of dicts is an ordinary JSON file. Everything else
is an object with one key that begins with `$`. What would be ambiguous (a dict with one such key) or inexact
(keys that are not text) is written as `{"$dict": [[key, value], ...]}`.

Two passes. Nearly every value has finite floats, ordinary integers and well-formed text, so the first pass
leaves those to the C encoder, which raises `ValueError` on the rare rest; only then the second, *careful*
pass looks at each one.
"""

from __future__ import annotations

import base64
import json
import math
from typing import TYPE_CHECKING, Any, Final

from flowstone.io.codecs.codec import CodecError, type_name
from flowstone.io.codecs.instances import INSTANCE_TAGS, encode_instance
from flowstone.io.codecs.remedies import remedy_for
from flowstone.io.codecs.scalars import SCALAR_TAGS, scalar_of
from flowstone.io.codecs.stdlib_containers import (
    STDLIB_CONTAINER_TAGS,
    STDLIB_CONTAINERS,
    encode_stdlib_container,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping

    from flowstone.io.codecs.classes import Classes

__all__ = ["CONTAINERS", "MAX_DEPTH", "PLAIN", "decode_tree", "encode_tree"]

PLAIN: Final = frozenset({str, int, float, bool, type(None)})
"""Types that JSON writes and reads exactly, but for the values the careful pass sees to."""

CONTAINERS: Final = frozenset({list, dict, tuple, set, frozenset})
"""Types whose items are encoded one by one."""

MAX_DEPTH: Final = 100
"""Containers inside containers; also what stops a value that contains itself."""

_TEXT: Final = frozenset({str})
_ORDINARY: Final = 1 << 64
_ENCODE: Final = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode
_DECODE: Final = json.JSONDecoder().decode


def encode_tree(value: object, classes: Classes) -> bytes:
    """`value` as UTF-8 JSON. Raises `CodecError` for what would not come back the same."""
    if type(value) is int and -_ORDINARY < value < _ORDINARY:
        return b"%d" % value  # What a JSON encoder writes, sooner than one is set up.
    try:
        return _in_two_passes(value, classes)
    except RecursionError:
        raise _too_deep() from None


def decode_tree(data: bytes, classes: Classes) -> object:
    """The value that `encode_tree` wrote."""

    def untag(pairs: dict[str, Any]) -> Any:
        if len(pairs) != 1:
            return pairs
        [(tag, content)] = pairs.items()
        return _untagged(tag, content, classes) if tag.startswith("$") else pairs

    text = data.decode("utf-8")
    return json.loads(text, object_hook=untag) if '"$' in text else _DECODE(text)


def _in_two_passes(value: object, classes: Classes) -> bytes:
    try:
        return _dump(_Encoder(classes).encode(value))
    except ValueError:  # NaN and infinities, integers of thousands of digits, lone surrogates.
        return _dump(_Encoder(classes, careful=True).encode(value))


def _dump(tree: Any) -> bytes:
    return _ENCODE(tree).encode("utf-8")


def _untagged(tag: str, content: Any, classes: Classes) -> Any:
    container = _CONTAINER_TAGS.get(tag)
    if container is not None:
        return container(content)
    scalar = SCALAR_TAGS.get(tag)
    if scalar is not None:
        return scalar.decode(content)
    instance = INSTANCE_TAGS.get(tag)
    if instance is not None:
        return instance(content, classes)
    raise CodecError(
        f"it holds a {tag!r}, which this version does not know", "load it with a newer flowstone"
    )


_CONTAINER_TAGS: Final[Mapping[str, Callable[[Any], object]]] = {
    "$tuple": tuple,
    "$set": set,
    "$frozenset": frozenset,
    "$dict": dict,
    **STDLIB_CONTAINER_TAGS,
    "$float": float,
    "$int": lambda text: int(text, 16),
    "$str": lambda text: base64.b64decode(text).decode("utf-8", "surrogatepass"),
}


class _Encoder:
    """One pass over one value."""

    __slots__ = ("_careful", "_classes")

    def __init__(self, classes: Classes, *, careful: bool = False) -> None:
        self._classes = classes
        self._careful = careful

    def encode(self, value: Any, depth: int = 0) -> Any:
        kind = type(value)
        if kind in PLAIN:
            return _careful(value) if self._careful else value
        if depth > MAX_DEPTH:
            raise _too_deep()
        if kind in CONTAINERS:
            return self._container(kind, value, depth + 1)
        scalar = scalar_of(kind)
        if scalar is not None:
            content = scalar.encode(value)
            return {scalar.tag: self.encode(content, depth) if self._careful else content}
        if kind in STDLIB_CONTAINERS:
            return encode_stdlib_container(
                value,
                lambda items: self._items(items, depth + 1),
                lambda pairs: self._pairs(pairs, depth + 1),
            )
        return self._instance(value, depth + 1)

    def _container(self, kind: type, value: Any, depth: int) -> Any:
        if kind is list:
            return self._items(value, depth)
        if kind is dict:
            return self._dict(value, depth)
        if kind is tuple:
            return {"$tuple": self._items(value, depth)}
        # Sorted: a set has no order of its own, and equal sets should give equal files and digests.
        items = sorted((self.encode(item, depth) for item in value), key=json.dumps)
        return {f"${kind.__name__}": items}

    def _items(self, value: Collection[Any], depth: int) -> list[Any]:
        if self._all_plain(value):
            return list(value)
        encoded = []
        for index, item in enumerate(value):
            try:
                encoded.append(self.encode(item, depth))
            except CodecError as error:
                error.inside(f"[{index}]")
                raise
        return encoded

    def _dict(self, value: dict[Any, Any], depth: int) -> dict[str, Any]:
        plain_keys = self._are_plain_keys(value)
        if plain_keys and self._all_plain(value.values()):
            return value
        pairs = self._pairs(value, depth, plain_keys=plain_keys)
        return dict(pairs) if plain_keys else {"$dict": pairs}

    def _pairs(self, value: Mapping[Any, Any], depth: int, *, plain_keys: bool = False) -> list[Any]:
        pairs = []
        for key, item in value.items():
            try:
                pairs.append((key if plain_keys else self.encode(key, depth), self.encode(item, depth)))
            except CodecError as error:
                error.inside(f"[{_shown(key)}]")
                raise
        return pairs

    def _all_plain(self, values: Iterable[Any]) -> bool:
        return not self._careful and PLAIN.issuperset(map(type, values))

    def _are_plain_keys(self, value: dict[Any, Any]) -> bool:
        if not _TEXT.issuperset(map(type, value)):
            return False
        if len(value) == 1 and next(iter(value)).startswith("$"):
            return False
        return not self._careful or all(map(_is_well_formed, value))

    def _instance(self, value: Any, depth: int) -> Any:
        encoded = encode_instance(value, self._classes, lambda part: self.encode(part, depth))
        if encoded is None:
            raise CodecError(
                f"it contains a value of type {type_name(value)}, which no codec takes", remedy_for(value)
            )
        return encoded


def _too_deep() -> CodecError:
    return CodecError(
        f"it is nested deeper than {MAX_DEPTH} levels or contains itself",
        'flatten it, or store it with an IO manager that has codec="pickle"',
    )


def _careful(value: Any) -> Any:
    kind = type(value)
    if kind is float and not math.isfinite(value):
        return {"$float": repr(value)}
    if kind is int and value.bit_length() > 10_000:  # Python refuses decimal text of more than 4,300 digits.
        return {"$int": hex(value)}
    if kind is str and not _is_well_formed(value):
        return {"$str": base64.b64encode(value.encode("utf-8", "surrogatepass")).decode("ascii")}
    return value


def _shown(key: Any) -> str:
    try:
        return f"{key!r:.50}"
    except Exception:  # An integer too long to print, or a class of the user's.
        return type_name(key)


def _is_well_formed(text: str) -> bool:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True
