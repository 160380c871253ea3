"""What a line of a log may hold: bounded in length, without passwords, and nothing that no store takes."""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING, Any, Final

from flowstone.masking import masked, without_secrets
from flowstone.store.json_safe import json_safe, safe_text

if TYPE_CHECKING:
    from flowstone.store.logs import KeptLine

__all__ = ["LINE", "LONGEST", "SIMPLE", "bounded", "clipped", "facts_of", "storable"]

LINE: Final = 100
"""Bytes that a line counts for beside its text."""

LONGEST: Final = 32_768
"""Characters of one message."""

SIMPLE: Final = frozenset({"logger", "stream"})
"""Fields that hold no secret."""

_MOST_FIELDS: Final = 16_384  # Characters of fields as JSON.
_LONGEST_TRACE: Final = 10_000
_STANDARD: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
_FORMATTER: Final = logging.Formatter()


def storable(lines: list[KeptLine]) -> list[KeptLine]:
    """Without passwords, and without what no database takes: nearly always as they are, which is seen at once."""
    text = "\n".join([line[2] for line in lines])
    if text.isascii() and masked(text) == text and all(map(_is_simple, lines)):
        return lines
    return [
        (at, level, masked(safe_text(message)), without_secrets(fields) if fields else None)
        for at, level, message, fields in lines
    ]


def _is_simple(line: KeptLine) -> bool:
    """Whether nothing came with it that could hold a secret: at most the name of a logger or a stream."""
    fields = line[3]
    return not fields or (len(fields) == 1 and not SIMPLE.isdisjoint(fields))


def bounded(fields: dict[str, Any]) -> tuple[dict[str, Any], int]:
    """The fields as JSON has them, and about how many bytes they take."""
    made: dict[str, Any] = json_safe(fields)
    size = len(json.dumps(made))
    if size > _MOST_FIELDS + _LONGEST_TRACE:
        made = {"fields": f"{size:,} characters of fields left out"}
        size = LINE
    return made, size


def clipped(message: str) -> str:
    """Both ends of a message that is too long."""
    half = LONGEST // 2 - 50
    return f"{message[:half]} … {len(message) - 2 * half:,} characters left out … {message[-half:]}"


def facts_of(record: logging.LogRecord) -> dict[str, Any]:
    """What a record says beside its message: `extra`, and a traceback."""
    told = {name: value for name, value in tuple(vars(record).items()) if name not in _STANDARD}
    if record.exc_info or record.exc_text:
        told["exception"] = _traceback(record)
    return told


def _traceback(record: logging.LogRecord) -> str:
    try:
        text = record.exc_text
        if not text and record.exc_info and record.exc_info[0] is not None:
            text = _FORMATTER.formatException(record.exc_info)
    except Exception as error:
        return f"<it cannot be read: {type(error).__name__}>"
    text = text or ""
    return text if len(text) <= _LONGEST_TRACE else f"… {text[-_LONGEST_TRACE:]}"
