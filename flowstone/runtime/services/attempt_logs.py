"""What the code of attempts says, on its way to the store: nothing waits for that, whatever becomes of the store.

    code of an attempt ──> AttemptLog ──> AttemptLogs: one bounded buffer ──> LogWriter ──> the store, many at once
      on any thread                       what finds no room is counted       (log_writer.py)

Of an attempt a megabyte is kept: what it says first is written as it comes. When three quarters are full, the rest
is held in memory until the attempt ends, and of that only the end; a line says how much was left out in between.
"""

from __future__ import annotations

import logging
import os
import threading
import time
import weakref
from collections import deque
from contextlib import suppress
from itertools import islice
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, Protocol

from flowstone.actors.clock import SystemClock
from flowstone.actors.spawn import OWNER
from flowstone.counting import count
from flowstone.runtime.execution.printed_text import PrintedText
from flowstone.runtime.services.log_text import LINE, LONGEST, SIMPLE, bounded, clipped, facts_of, storable
from flowstone.store.logs import LogChunk

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Iterator, Mapping

    from flowstone.actors import Clock
    from flowstone.runtime.execution.log_capture import Stream
    from flowstone.store.logs import KeptLine

__all__ = ["AttemptLog", "AttemptLogs", "Speaker", "keeper_of_owner"]

_BUFFER: Final = 16_000_000  # Bytes of lines that wait to be written, of all attempts.
_HEAD: Final = 768_000  # Bytes of an attempt that are written as they come,
_TAIL: Final = 256_000  # and that are held for its end.
_CHUNK: Final = 64_000  # Bytes of lines that are kept together.
_FACTS: Final = len(vars(logging.makeLogRecord({})))  # That every record has.
_MOST_LOGGERS: Final = 1_000
_STREAMS: Final[Mapping[Stream, dict[str, Any]]] = MappingProxyType(
    {"stdout": {"stream": "stdout"}, "stderr": {"stream": "stderr"}}
)
_INFO: Final = logging.INFO
_WARNING: Final = logging.WARNING


class Speaker(Protocol):
    """An attempt whose code says something.

    Attributes:
        log: What it has said; None as long as that is nothing.
    """

    log: AttemptLog | None

    def open_log(self) -> AttemptLog: ...


class _Source:
    """One attempt of a step, as its lines are known by.

    Attributes:
        step: Run, asset, partition key and number.
        room: Bytes that may still be written as they come.
        held: Lines that wait for the end, and what they take.
        left_out: How many lines, and how many bytes, were left out in between.
        dropped: How many found no room in the buffer since that was last said.
        ended: Whether nothing more is taken.
    """

    __slots__ = ("dropped", "ended", "held", "held_size", "left_out", "room", "step")

    def __init__(self, step: tuple[str, str, str | None, int]) -> None:
        self.step = step
        self.room = _HEAD
        self.held: deque[tuple[KeptLine, int]] | None = None
        self.held_size = 0
        self.left_out = (0, 0)
        self.dropped = 0
        self.ended = False


class _Chunk:
    """Lines of one attempt that are written together.

    Attributes:
        lines: The lines.
        size: About how many bytes they take.
    """

    __slots__ = ("lines", "size")

    def __init__(self) -> None:
        self.lines: list[KeptLine] = []
        self.size = 0

    def add(self, line: KeptLine, size: int) -> None:
        self.lines.append(line)
        self.size += size


class AttemptLog:
    """What the code of one attempt says, or of the attempt of an item of it.

    Args:
        logs: Where it goes.
        source: The attempt.
        fields: What is noted with each line, if anything.
    """

    __slots__ = ("_fields", "_logs", "_printed", "_source")

    def __init__(self, logs: AttemptLogs, source: _Source, fields: dict[str, Any] | None = None) -> None:
        self._logs = logs
        self._source = source
        self._fields = fields
        self._printed: PrintedText | None = None

    def of_item(self, position: int) -> AttemptLog:
        """The log of the attempt of an item of this step: its lines are lines of this attempt."""
        return AttemptLog(self._logs, self._source, {"item": position})

    def hear(self, record: logging.LogRecord) -> None:
        """A logger has emitted a record."""
        logs = self._logs
        fields = logs.of_logger(record.name)
        if fields is None or record.levelno < logs.least_level:
            return
        try:
            message = record.getMessage()
        except Exception as error:
            message = f"<its message cannot be read: {type(error).__name__}>"
        if len(record.__dict__) > _FACTS or record.exc_info or record.exc_text:
            fields = {**fields, **facts_of(record)}
        at = record.created if logs.by_system_clock else logs.now()
        logs.add(self._source, (at, record.levelno, message, fields), self._fields)

    def say(self, level: int, message: str, fields: Mapping[str, Any], at: float | None = None) -> None:
        """Keep a line, if it is of a level that is kept.

        Args:
            level: The level's number.
            message: What is said.
            fields: What comes with it; anything.
            at: When it was said, as seconds since 1970; None: now.
        """
        if level >= self._logs.least_level:
            line = (self._logs.now() if at is None else at, level, message, dict(fields))
            self._logs.add(self._source, line, self._fields)

    def printed(self, stream: Stream, text: str) -> None:
        """Text was written to a stream."""
        if self._printed is None:
            self._printed = PrintedText()
        for line in self._printed.add(stream, text):
            self.print_line(stream, line)

    def print_line(self, stream: Stream, text: str, at: float | None = None) -> None:
        """A line was written to a stream."""
        line = (self._logs.now() if at is None else at, _INFO, text, _STREAMS[stream])
        self._logs.add(self._source, line, self._fields)

    def end(self, *, source: bool = True) -> None:
        """The code has ended. With `source`, so has the attempt of the step: nothing more of it is taken."""
        if self._printed is not None:
            for stream, text in self._printed.rest():
                self.print_line(stream, text)
        if source:
            self._logs.end(self._source)


class AttemptLogs:
    """The lines that wait to be written, of all attempts of one runtime.

    It takes lines on any thread; what is on record of an attempt is looked at by its writer alone, on the loop.

    Args:
        loop: The runtime's.
        clock: The runtime's.
        least_level: The number of the lowest level that is kept.
        writer: Who writes them, for the store.

    Attributes:
        writer: As given.
        least_level: As given.
        by_system_clock: Whether records bear the right time already.
        on_lines: Called on the loop when there are lines to be written, or an attempt has ended that had some.
        listeners: Called on the loop when lines were kept by the store.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, clock: Clock, least_level: int, writer: int) -> None:
        self.least_level = least_level
        self.writer = writer
        self.by_system_clock = isinstance(clock, SystemClock)
        self.on_lines: Callable[[], None] = _nobody
        self.listeners: dict[Callable[[], object], None] = {}
        self._loop = loop
        self._clock = clock
        self._lock = threading.Lock()
        self._loggers: dict[str, dict[str, Any] | None] = {"root": {}}
        self._lines: deque[tuple[_Source, KeptLine | None, int]] = deque()
        self._size = 0
        self._dropped: dict[_Source, None] = {}
        self._told = False
        self._closed = False
        self._part = 0
        self._holding: dict[_Source, None] = {}
        self._gathered: list[LogChunk] = []
        _hear_nothing_in_forks(weakref.ref(self))

    def open(self, speaker: Speaker, step: tuple[str, str, str | None, int]) -> AttemptLog:
        """The log of an attempt, made if need be: two threads may speak first."""
        with self._lock:
            if speaker.log is None:
                speaker.log = AttemptLog(self, _Source(step))
            return speaker.log

    def of_logger(self, name: str) -> dict[str, Any] | None:
        """The fields of what this logger says: one object for all of it, which nobody changes.

        None for FlowStone's own, which speak of attempts and not for them; what `context.log` says, it says itself.
        """
        if name in self._loggers:
            return self._loggers[name]
        fields = None if f"{name}.".startswith("flowstone.") else {"logger": name}
        if len(self._loggers) < _MOST_LOGGERS:
            self._loggers[name] = fields
        return fields

    def now(self) -> float:
        """Seconds since 1970."""
        return time.time() if self.by_system_clock else self._clock.now().timestamp()

    def add(self, source: _Source, line: KeptLine, more: dict[str, Any] | None) -> None:
        """Take a line, if there is room for it; from any thread."""
        at, level, message, fields = line
        if len(message) > LONGEST:
            message = clipped(message)
        fields = {**fields, **more} if fields and more else fields or more
        size = len(message) + LINE
        if fields and (len(fields) > 1 or SIMPLE.isdisjoint(fields)):
            fields, more_size = bounded(fields)
            size += more_size
        if source.ended or self._closed:
            return
        if self._size + size > _BUFFER:
            with self._lock:
                source.dropped += 1
                self._dropped[source] = None
            return
        # Without the lock, which each line would feel: of two threads one may miss that the other has added a size,
        # until the next time that all is taken.
        self._size += size
        self._lines.append((source, (at, level, message, fields or None), size))
        if not self._told:
            self._told = True
            self._tell()

    def end(self, source: _Source) -> None:
        """Nothing more of this attempt is taken."""
        if not source.ended:
            source.ended = True
            self._lines.append((source, None, 0))
            if not self._told:
                self._told = True
                self._tell()

    def close(self) -> None:
        """Take nothing any more."""
        self._closed = True

    def forked(self) -> None:
        """This is another process now, which has no part in what its parent's attempts say."""
        self._lock = threading.Lock()
        self._closed = True

    def _tell(self) -> None:
        with suppress(RuntimeError):  # The loop is closed.
            self._loop.call_soon_threadsafe(self._say)

    def _say(self) -> None:
        self.on_lines()

    def held(
        self, run_id: str, asset: str | None, partition_key: str | None, limit: int
    ) -> list[tuple[tuple[str, str | None, int], KeptLine]]:
        """The newest lines that are held for the end of attempts, the oldest first, each with whose it is.

        Args:
            run_id: The run.
            asset: Only those of this asset; None: of all.
            partition_key: Only those of this partition of the asset; None: of all.
            limit: How many at most.
        """
        found = []
        for source in self._holding:
            run, *step = source.step
            if (
                source.held
                and run == run_id
                and asset in (None, step[0])
                and partition_key in (None, step[1])
            ):
                newest = [line for line, _ in islice(reversed(source.held), limit)]
                found += [(source.step[1:], line) for line in storable(newest)]
        found.sort(key=lambda each: each[1][0])
        return found[max(0, len(found) - limit) :]

    # The writer's side --------------------------------------------------------------------------------------

    @property
    def waiting(self) -> bool:
        """Whether there is something to be written."""
        return bool(self._lines or self._gathered or self._dropped)

    def gather(self) -> list[LogChunk]:
        """What is to be written now, in the order in which it was said; it stays gathered until it is `written`."""
        if not self._gathered:
            self._gathered = list(self._chunks(self._taken()))
        return self._gathered

    def written(self, chunks: int) -> None:
        """The store has the first so many of what was gathered, or will never have them."""
        del self._gathered[:chunks]
        for tell in tuple(self.listeners):
            tell()

    def _taken(self) -> list[tuple[_Source, KeptLine | None, int]]:
        self._told = False  # Before they are taken: what is added from here on is told of.
        self._size = 0
        lines = [self._lines.popleft() for _ in range(len(self._lines))]
        with self._lock:
            dropped, self._dropped = self._dropped, {}
            lost = [(source, source.dropped) for source in dropped]
            for source in dropped:
                source.dropped = 0
        for source, number in lost:
            words = f"{count(number, 'line')} left out here: they came faster than they could be kept"
            lines.append((source, (self.now(), _WARNING, words, {"left_out": number}), LINE))
        return lines

    def _chunks(self, lines: list[tuple[_Source, KeptLine | None, int]]) -> Iterator[LogChunk]:
        """The lines by attempt: of each in one chunk, or several if there are many."""
        begun: dict[_Source, _Chunk] = {}
        for source, line, size in lines:
            chunk = begun.get(source)
            if chunk is None:
                chunk = begun[source] = _Chunk()
            if line is None:
                for held in self._end_of(source):
                    chunk.add(*held)
            elif source.held is None and size <= source.room:
                source.room -= size
                chunk.add(line, size)
            else:
                self._holding[source] = None
                _hold(source, line, size)
            if chunk.size > _CHUNK:
                del begun[source]
                yield self._chunk(source, chunk)
        for source, chunk in begun.items():
            if chunk.lines:
                yield self._chunk(source, chunk)

    def _chunk(self, source: _Source, chunk: _Chunk) -> LogChunk:
        self._part += 1
        return LogChunk(*source.step, self._part, storable(chunk.lines))

    def _end_of(self, source: _Source) -> list[tuple[KeptLine, int]]:
        """What was held for the end of an attempt."""
        held, source.held = source.held, None
        self._holding.pop(source, None)
        if held is None:
            return []
        lines, size = source.left_out
        kept = list(held)
        if lines:
            words = (
                f"{count(lines, 'line')} ({size:,} bytes) left out here: a log keeps a megabyte of an attempt"
            )
            at = held[0][0][0] if held else self.now()
            kept.insert(0, ((at, _WARNING, words, {"left_out": lines}), LINE))
        return kept


def keeper_of_owner() -> AttemptLog | None:
    """The log of the attempt whose code runs, if it is an attempt's: in a task of its own, or what that started."""
    owner = OWNER.get()
    speaker: Speaker | None = None if owner is None else owner.work
    return None if speaker is None else speaker.log or speaker.open_log()


def _hold(source: _Source, line: KeptLine, size: int) -> None:
    """Hold a line for the end of the attempt, and leave out what that leaves no room for."""
    if source.held is None:
        source.held = deque()
    source.held.append((line, size))
    source.held_size += size
    while source.held_size > _TAIL:
        _, gone = source.held.popleft()
        source.held_size -= gone
        lines, total = source.left_out
        source.left_out = lines + 1, total + gone - LINE


def _hear_nothing_in_forks(known: weakref.ref[AttemptLogs]) -> None:
    """A process that an asset has forked off has no writer; and the lock may be held by a thread that it lacks."""

    def forget() -> None:
        logs = known()
        if logs is not None:
            logs.forked()

    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=forget)


def _nobody() -> None:
    """There is no writer at present: the next one looks when it begins."""
