"""The process that writes the lines of attempts to the store: a tenth of a second's worth of them at a time.

While the store is away it tries the same lines again, and what is said meanwhile fills the buffer. What it refuses
for good is left out. It is the last to stop of what attempts use, and has a moment to write what is left.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from flowstone.backoff import Backoff
from flowstone.errors import StoreUnavailable
from flowstone.frozen import frozen
from flowstone.runtime.execution.guard import describe
from flowstone.store.protocol import StoreRefused

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

    from flowstone.actors import Clock
    from flowstone.alarms import Alarms
    from flowstone.runtime.services.attempt_logs import AttemptLogs
    from flowstone.store.logs import Logs

__all__ = ["LEAVING", "LogWriter"]

LEAVING: Final = 2.0
"""Seconds for what is left when the runtime ends."""

_GATHERS: Final = 0.1  # Seconds.
_TOGETHER: Final = 200  # Chunks of one write.
_FIRST_PAUSE: Final = 0.2
_LONGEST_PAUSE: Final = 5.0


@frozen
class LogStatistics:
    """What became of lines since the process began.

    Attributes:
        written: Chunks of lines that the store has.
        refused: Chunks that it would not have.
    """

    written: int
    refused: int


class LogWriter:
    """Writes what waits to be written.

    Args:
        lines: What waits.
        logs: The store's.
        clock: The runtime's.
        alarms: Where it is said that lines are not kept at present.
        random: Names this writer, and jitters its pauses.
    """

    def __init__(self, lines: AttemptLogs, logs: Logs, clock: Clock, alarms: Alarms, random: Random) -> None:
        self._lines = lines
        self._logs = logs
        self._clock = clock
        self._alarms = alarms
        self._backoff = Backoff(_FIRST_PAUSE, _LONGEST_PAUSE, random)
        self._stopping = False
        self._due = asyncio.Event()
        self._rested = asyncio.Event()
        self._written = self._refused = 0

    async def run(self, started: Callable[[], None]) -> None:
        self._lines.on_lines = self._due.set
        if self._lines.waiting:  # Since an earlier incarnation.
            self._due.set()
        started()
        while not self._stopping:
            await self._due.wait()
            await self._rest(_GATHERS)
            self._due.clear()
            if not await self._write():
                self._due.set()
                await self._rest(self._backoff.pause())
        await self._write_the_rest()

    def stop(self) -> None:
        """Write what is left, and return from `run`."""
        self._stopping = True
        self._due.set()
        self._rested.set()

    def statistics(self) -> LogStatistics:
        return LogStatistics(self._written, self._refused)

    async def _rest(self, seconds: float) -> None:
        """So long, unless it is to stop."""
        if self._stopping:
            return
        self._rested.clear()
        timer = self._clock.call_later(seconds, self._rested.set)
        try:
            await self._rested.wait()
        finally:
            timer.cancel()

    async def _write(self) -> bool:
        """Write what there is now; False if the store is away."""
        while chunks := self._lines.gather()[:_TOGETHER]:
            try:
                await self._logs.append(self._lines.writer, chunks)
            except StoreUnavailable as error:
                self._alarms.set("logs", f"lines of attempts are not kept: {error}")
                if not isinstance(error, StoreRefused):
                    return False
                self._refused += len(chunks)
            except Exception as error:  # Whatever is wrong with lines: nothing else may suffer from it.
                self._alarms.set("logs", f"lines of attempts are not kept: {describe(error, None).message}")
                self._refused += len(chunks)
            else:
                self._written += len(chunks)
                self._backoff.reset()
                self._alarms.clear("logs")
            self._lines.written(len(chunks))
        return True

    async def _write_the_rest(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(LEAVING):
                await self._write()
        self._lines.close()
