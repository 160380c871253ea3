"""What a database column holds for a partition key or a JSON-able value.

"No partition" is a key of its own and never NULL, which no unique index would hold unique: it is the empty
text. Encoded keys are never empty; a foreign one that is, or that begins with the escape, is escaped.
"""

from __future__ import annotations

import json
from typing import Any, Final

__all__ = ["from_json", "key_of", "key_text", "to_json"]

_ESCAPE: Final = "\x01"


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


def to_json(value: Any) -> str:
    """Compact JSON text. What users recorded was made storable before (sanitise.py)."""
    return _ENCODER.encode(value)


def from_json(text: str) -> Any:
    """The value of a JSON text."""
    return json.loads(text)


_ENCODER: Final = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"))
