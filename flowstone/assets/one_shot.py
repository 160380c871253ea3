"""What can be read only once is not a value: whoever came second would get nothing, and no error.

An asset's value is handed to every asset downstream, to `load` and to the next run. A generator, an open file or
a coroutine is used up by the first of them. So it is found before anything is recorded, by its type alone: no
method of it is called, nothing is read from it.
"""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Iterator
from concurrent.futures import Future
from io import IOBase
from itertools import count, cycle, islice, repeat
from types import CoroutineType, MemberDescriptorType
from typing import TYPE_CHECKING, Any, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["PLAIN", "OneShot", "find_one_shot"]

_DEEPEST: Final = 3
_MOST: Final = 1_000

PLAIN: Final = frozenset({type(None), bool, int, float, complex, str, bytes, bytearray})
"""The types of values in which there is nothing to look for."""
_INSTEAD: Final[tuple[tuple[type, str], ...]] = (
    (Iterator, "list(...)"),
    (AsyncIterator, "[item async for item in ...]"),
    (Awaitable, "what it gives when it is awaited: await ..."),
    (Future, "its result: future.result()"),
)
_WRAPPED_FILE: Final = ("tempfile", "_TemporaryFileWrapper")  # Hands everything on to a file, but is none.
_ITEMS: Final = (list, tuple, deque, set, frozenset)
_CONTAINERS: Final[frozenset[type]] = frozenset({dict, *_ITEMS})


class OneShot(NamedTuple):
    """Something that can be read only once, in a value.

    Attributes:
        path: Where it is in the value, as `['rows'][0]`; empty for the value itself.
        kind: Its type as a user writes it.
        instead: What has the same in it and can be read again, such as `list(...)`.
        endless: Whether it never ends, so that there is nothing that has the same in it.
    """

    path: str
    kind: str
    instead: str
    endless: bool = False

    def explanation(self, verb: str = "return") -> str:
        """The rest of a sentence that begins with whose value it is, with what to `verb` instead."""
        place = f"value{self.path}" if self.path else "its value"
        if self.endless:
            return (
                f"{place} is of type {self.kind}, which never ends, and a value must be finite; "
                f"{verb} {self.instead}"
            )
        return (
            f"{place} is of type {self.kind}, which can be read only once: whoever came second would get nothing; "
            f"{verb} {self.instead}"
        )


class _Part(NamedTuple):
    value: Any
    depth: int = 0
    step: str = ""
    parent: Any = None  # The _Part that holds it.


def find_one_shot(value: object) -> OneShot | None:
    """The first thing in `value` that can be read only once, or None.

    Looks at the value and, to a depth of three, at the items of lists, tuples, dicts, sets and deques and the
    fields of dataclasses, pydantic models and attrs classes: at the first thousand in all, however large the value
    is. Other objects may own an iterator for purposes of their own, and are not searched.
    """
    if type(value) in PLAIN:
        return None
    parts = [_Part(value)]
    harmless: set[type] = set(_CONTAINERS)
    for part in parts:  # It grows while it is read.
        kind = type(part.value)
        instead = None if kind in harmless else _instead(kind)
        if instead is not None:
            if endless := _never_ends(part.value):
                instead = "the part of it that is needed: list(itertools.islice(..., n))"
            return OneShot(_path(part), _type_name(kind), instead, endless)
        harmless.add(kind)
        if part.depth < _DEEPEST and len(parts) <= _MOST:
            steps = islice(_steps(part.value), _MOST)
            parts += [
                _Part(item, part.depth + 1, step, part) for step, item in steps if type(item) not in PLAIN
            ]
    return None


def _steps(value: Any) -> Iterable[tuple[str, Any]]:
    """Each part of a container with the way to it, by the base's own iterator: subclasses may run anything."""
    kind = type(value)
    if issubclass(kind, dict):
        if PLAIN.issuperset(map(type, islice(dict.values(value), _MOST))):
            return ()
        return ((f"[{_shown(key)}]", item) for key, item in dict.items(value))
    for base in _ITEMS:
        if issubclass(kind, base):
            if PLAIN.issuperset(map(type, islice(base.__iter__(value), _MOST))):
                return ()
            return ((f"[{index}]", item) for index, item in enumerate(base.__iter__(value)))
    names = _field_names(kind)
    return ((f".{name}", item) for name, item in _attributes(value, names)) if names else ()


def _field_names(kind: type) -> list[str]:
    for attribute in ("__dataclass_fields__", "__pydantic_fields__"):
        fields = getattr(kind, attribute, None)
        if type(fields) is dict:
            return list(fields)
    return [field.name for field in getattr(kind, "__attrs_attrs__", ())]


def _attributes(value: Any, names: list[str]) -> Iterable[tuple[str, Any]]:
    """What is stored under these names: a property would run code of the user's."""
    stored = getattr(value, "__dict__", {})
    for name in names:
        if name in stored:
            yield name, stored[name]
        elif type(getattr(type(value), name, None)) is MemberDescriptorType and hasattr(value, name):
            yield name, getattr(value, name)


def _instead(kind: type) -> str | None:
    """What to return instead of an instance of this type; None if it can be read again."""
    if issubclass(kind, IOBase) or (kind.__module__, kind.__name__) == _WRAPPED_FILE:
        return _content(kind)
    for base, instead in _INSTEAD:
        if issubclass(kind, base):
            return None if _is_mock(kind) else instead
    return None


def _never_ends(value: object) -> bool:
    """Whether this is an iterator of the standard library that is known to be endless."""
    if isinstance(value, repeat):
        try:
            repeat.__length_hint__(value)
        except TypeError:
            return True
        return False
    return isinstance(value, count | cycle)


def _content(kind: type) -> str:
    if hasattr(kind, "getvalue"):
        return "what it holds: buffer.getvalue()"
    return "what it holds, such as file.read(), or its path"


def _is_mock(kind: type) -> bool:
    """A mock has every method there is, `__next__` among them, which says nothing."""
    mock = sys.modules.get("unittest.mock")
    return mock is not None and issubclass(kind, mock.NonCallableMock)


def _path(part: _Part) -> str:
    steps = []
    while part.parent is not None:
        steps.append(part.step)
        part = part.parent
    return "".join(reversed(steps))


def _type_name(kind: type) -> str:
    if kind.__module__ == "builtins" or kind is CoroutineType:
        return kind.__qualname__
    return f"{kind.__module__}.{kind.__qualname__}"


def _shown(key: Any) -> str:
    try:
        return f"{key!r:.50}"
    except Exception:  # A key of a class of the user's, or an integer too long to print.
        return type(key).__qualname__
