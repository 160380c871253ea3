"""The clock of a runtime on a loop with virtual time."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from flowstone.actors.limits import delay

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["LoopClock"]


class LoopClock:
    """A `Clock` that shows the time of a loop.

    Args:
        loop: Its time and its timers.
        start: What the wall clock shows at the loop's time 0, aware.
        steady: Whether nobody steps it: then nobody has to look now and then whether somebody did.
    """

    __slots__ = ("_loop", "_start", "monotonic", "steady")

    def __init__(self, loop: asyncio.AbstractEventLoop, start: datetime, *, steady: bool = False) -> None:
        self.steady = steady
        self._loop = loop
        self._start = start.astimezone(UTC)
        self.monotonic = loop.time

    def now(self) -> datetime:
        """The start plus the loop's time, aware, in UTC."""
        return self._start + timedelta(seconds=self._loop.time())

    def step(self, seconds: float) -> None:
        """Set the wall clock forward, or back where negative, as an operator or NTP does; no time passes.

        Raises:
            RuntimeError: It is a steady one.
        """
        if self.steady:
            raise RuntimeError("This clock is a steady one: make it with steady=False to step it.")
        self._start += timedelta(seconds=seconds)

    def call_later(self, seconds: float, callback: Callable[[], object]) -> asyncio.TimerHandle:
        """Call `callback()` once so many seconds have passed."""
        return self._loop.call_later(max(0.0, delay(seconds)), callback)

    async def sleep(self, seconds: float) -> None:
        """Return once so many seconds have passed; at once, after one turn of the loop, for 0."""
        await asyncio.sleep(max(0.0, delay(seconds)))
