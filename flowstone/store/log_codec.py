"""Lines of a log as one text: small, and nothing that the garbage collector goes through again and again.

Of each line it has the microseconds since the first one, the level, the message, and the fields if there are any.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from flowstone.runs.log_line import LogLine, level_name

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flowstone.store.logs import KeptLine

__all__ = ["decode_lines", "encode_lines"]

_MICROSECONDS: Final = 1_000_000
_quoted: Final = json.encoder.encode_basestring
_ENCODER: Final = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def encode_lines(lines: Sequence[KeptLine]) -> str:
    """The text of lines."""
    first = lines[0][0]
    texts = []
    known: dict[str, Any] | None = None  # Nearly always what came with the line before, as of one logger.
    end = "]"
    for at, level, message, fields in lines:
        if fields is not known:
            known, end = fields, f",{_ENCODER.encode(fields)}]" if fields else "]"
        texts.append(f"[{round((at - first) * _MICROSECONDS)},{level},{_quoted(message)}{end}")
    return f"[{','.join(texts)}]"


def decode_lines(
    text: str, step: tuple[str, str | None, int], began: float, last: int, after: int, limit: int
) -> list[LogLine]:
    """Lines of a text.

    Args:
        text: The text.
        step: The asset, the partition key and the attempt that they are of.
        began: When the first one was said, as seconds since 1970.
        last: The number of the last one.
        after: Only those with higher numbers.
        limit: How many at most.
    """
    told = json.loads(text)
    first = last - len(told) + 1
    start = max(0, after - first + 1)
    return [
        LogLine(
            datetime.fromtimestamp(began + line[0] / _MICROSECONDS, UTC),
            level_name(line[1]),
            line[2],
            line[3] if len(line) > 3 else {},
            *step,
            first + place,
        )
        for place, line in enumerate(told[start : start + limit], start)
    ]
