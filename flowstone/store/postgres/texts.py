"""What a database column holds for a partition key or a JSON-able value, and many values as one text.

"No partition" is a key of its own and never NULL, which no unique index would hold unique: it is the empty
text. Encoded keys are never empty; a foreign one that is, or that begins with the escape, is escaped.
"""

from __future__ import annotations

import json
import sys
from datetime import UTC
from typing import TYPE_CHECKING, Any, Final

from flowstone.assets.exact_dates import REAL

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from flowstone.runs.records import StepKey

__all__ = [
    "from_json",
    "instant_text",
    "joined",
    "key_columns",
    "key_of",
    "key_text",
    "keys_of",
    "to_json",
]

# Control characters, which are in no name and in no JSON; where one is after all, others are taken.
_SEPARATOR: Final = "\x1f"
_NONE: Final = "\x1e"
# The first of the characters that are nobody's, and behind all halves of surrogate pairs.
_PRIVATE: Final = 0xE000

_ESCAPE: Final = "\x01"
_isoformat: Final = REAL.datetime.isoformat


def key_text(key: str | None) -> str:
    """The column's text for a partition key."""
    if key is None:
        return ""
    return key if key and key[0] != _ESCAPE else _ESCAPE + key


def key_of(text: str) -> str | None:
    """The partition key for a column's text."""
    if not text:
        return None
    return text[1:] if text[0] == _ESCAPE else text


def keys_of(text: str) -> list[str | None]:
    """The partition keys of several columns' texts that were joined by the database."""
    texts = text.split(_SEPARATOR)
    if _ESCAPE not in text and all(texts):
        return list(texts)  # As they are: of 100,000 keys this is what takes no time.
    return [key_of(each) for each in texts]


def key_columns(keys: Iterable[StepKey]) -> tuple[list[str], list[str]]:
    """The columns of assets and of partition keys."""
    keys = list(keys)
    return [asset for asset, _ in keys], [key_text(key) for _, key in keys]


def to_json(value: Any) -> str:
    """Compact JSON text. What users recorded was made storable before (sanitise.py)."""
    return _ENCODER.encode(value)


def from_json(text: str) -> Any:
    """The value of a JSON text."""
    return _decode(text)


def instant_text(instant: datetime | None) -> str | None:
    """An instant; without a zone it is taken as UTC."""
    if instant is None:
        return None
    if instant.tzinfo is not UTC:
        instant = instant.replace(tzinfo=UTC) if instant.tzinfo is None else instant.astimezone(UTC)
    return _isoformat(instant)


# Columns ----------------------------------------------------------------------------------------------------


def joined(columns: Sequence[Sequence[str | None]]) -> tuple[str, str, list[str]]:
    """Columns of texts, each as one text for `string_to_array`.

    Returns:
        What comes before each value; what stands for None; and the columns. A column of nothing but None is empty.
    """
    texts = [_joined(column, _SEPARATOR, _NONE) for column in columns]
    found = [text for text in texts if text is not None]
    if len(found) == len(texts):
        return _SEPARATOR, _NONE, found
    used = {character for column in columns for value in column if value is not None for character in value}
    unused = (chr(code) for code in range(_PRIVATE, sys.maxunicode) if chr(code) not in used)
    separator, none = next(unused), next(unused)
    return separator, none, [_joined(column, separator, none) or "" for column in columns]


def _joined(column: Sequence[str | None], separator: str, none: str) -> str | None:
    """The column's text, or None if separator or none are in a value."""
    if not column or (absent := column.count(None)) == len(column):
        return ""
    text = separator + separator.join([none if value is None else value for value in column])
    return text if text.count(separator) == len(column) and text.count(none) == absent else None


_ENCODER: Final = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"))
_decode: Final = json.JSONDecoder().decode
