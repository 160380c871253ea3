"""Whatever an asset recorded, made into JSON: a write never fails because of what a user's metadata holds.

| given | kept as |
|---|---|
| `None`, `bool`, `int`, finite `float`, `str` | itself (a subclass becomes the plain type) |
| `nan`, `inf`, `-inf` | that word |
| an integer of more than 1,000 bits | `<int of N bits>` |
| text with lone surrogates | the same with U+FFFD in their place |
| mapping | object; keys become text, the last of equal ones stays |
| list, tuple, set, frozenset, deque | array (a set sorted by its text) |
| date, datetime, time | ISO 8601 |
| bytes | `base64:` and the data |
| enum member | its value |
| dataclass | object of its fields |
| a scalar of numpy, an array, series or tensor (`tolist`) | what its items are: bools, numbers, text, arrays |
| `datetime64`, `timedelta64` | as numpy writes them: `2025-01-15T12:00` |
| `NaT`, `pandas.NA`, `numpy.ma.masked` | `null` |
| a number of another library (`__index__`, `__float__`) | int or float |
| anything else (Decimal, UUID, Path, ...) | `str()` of it |

All stores keep the same, the one in memory too.

Sizes are capped: 100,000 characters of one text, 10,000 values and 1,000,000 characters in all, 20 levels
deep; what is beyond is cut, and says so.
"""

from __future__ import annotations

import dataclasses
from base64 import b64encode
from collections import deque
from collections.abc import Mapping
from datetime import date, time
from decimal import Decimal
from enum import Enum
from itertools import islice
from math import isfinite
from typing import Any, Final

__all__ = ["json_safe", "safe_text"]

_LONGEST_TEXT: Final = 100_000
_MOST_TEXT: Final = 1_000_000
_MOST_VALUES: Final = 10_000
_DEEPEST: Final = 20
_MOST_BITS: Final = 1_000
_CUT: Final = "..."

_PLAIN: Final = frozenset({bool, int, str, float, type(None)})
_ARRAYS: Final = (list, tuple, deque)
_TIMES: Final = frozenset({"M", "m"})  # The kinds of datetime64 and timedelta64.


def json_safe(value: object) -> Any:
    """The value as JSON-able data, by the table above; never raises.

    Args:
        value: Anything. JSON-able data within the caps comes back as an equal copy.
    """
    if type(value) is dict and (not value or _is_flat(value)):  # Nearly all metadata, and a run waits for it.
        return dict(value)
    return _Conversion().convert(value, 0)


def safe_text(text: str) -> str:
    """Text that every encoder takes: lone surrogates become U+FFFD."""
    if text.isascii():
        return text
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _is_flat(values: dict[Any, Any]) -> bool:
    return len(values) <= 100 and all(
        type(key) is str and key.isascii() and len(key) <= 200 and _is_plain(item)
        for key, item in values.items()
    )


def _is_plain(value: object) -> bool:
    if type(value) is str:
        return value.isascii() and len(value) <= 1_000
    if type(value) is int:
        return value.bit_length() <= _MOST_BITS
    if type(value) is float:
        return isfinite(value)
    return value is None or type(value) is bool


class _Conversion:
    """One conversion and what is left of its budget."""

    def __init__(self) -> None:
        self._values = _MOST_VALUES
        self._text = _MOST_TEXT

    def convert(self, value: object, depth: int) -> Any:
        self._values -= 1
        if self._values < 0 or depth > _DEEPEST:
            return _CUT
        # Properties, iterators and `__str__` of users run in here and may raise anything, even SystemExit.
        try:
            return self._by_type(value, depth)
        except BaseException as error:
            return f"<{type(value).__name__}: {type(error).__name__} while it was recorded>"

    def _by_type(self, value: object, depth: int) -> Any:
        if isinstance(value, Enum):
            return self.convert(value.value, depth + 1)
        if isinstance(value, str):
            return self._cut(str.__str__(value))
        if value is None or isinstance(value, bool | int | float):
            return _scalar(value)
        if isinstance(value, bytes | bytearray | memoryview):
            return self._cut("base64:" + b64encode(bytes(value)[:_LONGEST_TEXT]).decode())
        if isinstance(value, date | time):
            return None if value != value else value.isoformat()  # noqa: PLR0124 - pandas.NaT is a datetime
        return self._container(value, depth)

    def _container(self, value: object, depth: int) -> Any:
        if isinstance(value, Mapping):
            return self._object(value.items(), depth)
        if isinstance(value, _ARRAYS):
            return self._array(value, depth)
        if isinstance(value, set | frozenset):
            return sorted(self._array(value, depth), key=repr)
        if dataclasses.is_dataclass(value) and not isinstance(value, type):
            return self._object(((f.name, getattr(value, f.name)) for f in dataclasses.fields(value)), depth)
        return self._foreign(value, depth)

    def _object(self, items: Any, depth: int) -> dict[str, Any]:
        return {self._key(key): self.convert(item, depth + 1) for key, item in self._within_budget(items)}

    def _array(self, items: Any, depth: int) -> list[Any]:
        return [self.convert(item, depth + 1) for item in self._within_budget(items)]

    def _within_budget(self, items: Any) -> Any:
        return islice(items, max(0, self._values) + 1)  # One more than there is room for: it says "cut".

    def _key(self, key: object) -> str:
        return self._cut(str.__str__(key) if isinstance(key, str) else str(key))

    def _foreign(self, value: Any, depth: int) -> Any:
        kind = type(value)
        if isinstance(value, type | Decimal):
            return self._cut(str(value))
        if hasattr(kind, "as_py"):  # A scalar of pyarrow.
            return self.convert(value.as_py(), depth + 1)
        if hasattr(kind, "tolist") or hasattr(kind, "to_list"):
            return self._numeric(value, depth)
        if hasattr(kind, "__index__"):
            return _scalar(int(value.__index__()))
        if hasattr(kind, "__float__"):
            return _scalar(float(value.__float__()))
        return None if str(value) == "<NA>" else self._cut(str(value))

    def _numeric(self, value: Any, depth: int) -> Any:
        """An array, series or tensor, item by item, for `tolist` of all may be large; or a scalar of numpy."""
        if getattr(value, "ndim", 1):
            return self._array(value, depth)
        if getattr(getattr(value, "dtype", None), "kind", "") in _TIMES:
            text = str(value)
            return None if text == "NaT" else self._cut(text)
        plain = value.tolist()
        return _scalar(float(plain)) if type(plain) is type(value) else self.convert(plain, depth + 1)

    def _cut(self, text: str) -> str:
        room = max(0, min(_LONGEST_TEXT, self._text))
        kept = text if len(text) <= room else f"{text[:room]}{_CUT} ({len(text):,} characters)"
        self._text -= min(len(text), room)
        return safe_text(kept)


def _scalar(value: Any) -> Any:
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, int):
        return (
            int.__int__(value) if value.bit_length() <= _MOST_BITS else f"<int of {value.bit_length()} bits>"
        )
    plain = float.__float__(value)
    return plain if isfinite(plain) else str(plain)
