"""What attempts logged and printed."""

from __future__ import annotations

from typing import Annotated, Any, Final, cast

from pydantic import Field

from flowstone.runs.log_line import LogLevel, LogLine
from flowstone.wire.model import MOST, Given, Instant, Model, Text
from flowstone.wire.values import Partition, label

__all__ = ["MOST_TAIL", "LogLineModel", "LogsQuery"]

MOST_TAIL: Final = 10_000
"""The newest lines that are told at once: they are all in memory together."""


class LogLineModel(Model):
    """A line that the code of an attempt logged or printed."""

    number: int
    """Where it stands in the log of its run: it grows from line to line, not by one each time."""
    at: Instant
    """When it was said."""
    level: str
    """`debug`, `info`, `warning`, `error` or `critical`."""
    message: str
    """What was said."""
    fields: dict[str, Any]
    """What came with it."""
    asset: str
    """The asset that said it."""
    partition: str | None
    """At which partition."""
    partition_key: str | None = None
    """The same as machines write it."""
    attempt: int
    """In which attempt."""
    held: bool = False
    """Whether it is one of the last lines of an attempt that has said more than is kept as it comes: it is kept, or
    left out, when that ends."""

    @classmethod
    def of(cls, line: LogLine) -> LogLineModel:
        """As the API shows it."""
        return cls(
            number=line.number,
            at=line.at,
            level=line.level,
            message=line.message,
            fields=dict(line.fields),
            asset=line.asset,
            partition=label(line.partition_key),
            partition_key=line.partition_key,
            attempt=line.attempt,
            held=line.held,
        )

    def as_record(self) -> LogLine:
        """What it shows."""
        return LogLine(
            self.at,
            cast("LogLevel", self.level),
            self.message,
            self.fields,
            self.asset,
            self.partition_key,
            self.attempt,
            self.number,
            self.held,
        )


class LogsQuery(Given):
    """Which lines."""

    asset: Text | None = None
    """Only those of this asset."""
    partition: Partition | None = None
    """Only those of this partition of it."""
    after: Annotated[int, Field(ge=0, le=MOST)] = 0
    """Only those with higher numbers."""
    limit: Annotated[int, Field(ge=1, le=MOST)] | None = None
    """How many at most. Default: all."""
    tail: Annotated[int, Field(ge=1, le=MOST_TAIL)] | None = None
    """Only the newest so many, up to 10,000, and what is said after them. Not together with `after`."""
    level: LogLevel | None = None
    """Only those of this level or a higher one."""
    contains: Text | None = None
    """Only those with this text in their message, fields, logger, traceback or step, in upper or lower case."""
    follow: bool = False
    """Whether to go on until the run has ended: as server-sent events, `Last-Event-ID` goes on."""
