"""A line of the log of an attempt: what its code logged or printed, as it is kept.

Five levels are enough for whoever reads: a level of an application's own counts as the next one below it. What was
printed has no level, and counts as "info".
"""

from __future__ import annotations

import logging
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

from flowstone.frozen import frozen

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

__all__ = ["LEVELS", "LogLevel", "LogLine", "level_name"]

LogLevel: TypeAlias = Literal["debug", "info", "warning", "error", "critical"]

LEVELS: Final[Mapping[LogLevel, int]] = MappingProxyType(
    {
        "debug": logging.DEBUG,
        "info": logging.INFO,
        "warning": logging.WARNING,
        "error": logging.ERROR,
        "critical": logging.CRITICAL,
    }
)
"""The levels that a line can have, with the numbers that the standard library has for them."""


def level_name(number: int) -> LogLevel:
    """The level that a number of the standard library's counts as."""
    found: LogLevel = "debug"
    for name, least in LEVELS.items():
        if number >= least:
            found = name
    return found


@frozen
class LogLine:
    """What the code of an attempt logged or printed: one record, or one line of text.

    Attributes:
        at: When it said so; aware.
        level: `debug`, `info`, `warning`, `error` or `critical`.
        message: What it said, without passwords. Of a record of `context.log` the event, without its fields.
        fields: What came with it, as JSON: fields of `context.log`, `extra` of a record, `logger` (the record's),
            `stream` (`stdout` or `stderr`) of what was printed, `exception` (a traceback), `item` (the position
            of the item that it was said about), `left_out` (how many lines stand here for this one).
        asset: The asset whose function said it.
        partition_key: At which partition, encoded, or None.
        attempt: In which attempt of the step; 1 for the first.
        number: Where it stands in the log of its run: it grows from line to line, not by one each time. Of one
            that is held it is the number of the line before it.
        held: Whether it is not kept yet: its attempt has said more than is kept as it comes, and this is one of its
            last lines so far.
    """

    at: datetime
    level: LogLevel
    message: str
    fields: Mapping[str, Any]
    asset: str
    partition_key: str | None
    attempt: int
    number: int
    held: bool = False
