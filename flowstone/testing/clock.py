"""A clock that moves only when a test says so."""

from __future__ import annotations

import asyncio
import heapq
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import count
from typing import TYPE_CHECKING

from flowstone.actors.limits import delay

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["VirtualClock"]

_START = datetime(2025, 1, 1, tzinfo=UTC)


class VirtualClock:
    """A `Clock` whose time stands still until `await clock.advance(seconds)`.

    Args:
        start: The wall clock's first value, aware; default 2025-01-01 in UTC.
        settle: How often `settle()` lets the loop turn at most.
    """

    def __init__(self, start: datetime = _START, *, settle: int = 200) -> None:
        self._start = start.astimezone(UTC)
        self._elapsed = 0.0
        self._turns = settle
        self._order = count()
        self._due: list[tuple[float, int, _VirtualTimer]] = []

    def now(self) -> datetime:
        """The start plus all that was advanced and stepped, aware, in UTC."""
        return self._start + timedelta(seconds=self._elapsed)

    def monotonic(self) -> float:
        """Seconds advanced so far."""
        return self._elapsed

    def call_later(self, seconds: float, callback: Callable[[], object]) -> _VirtualTimer:
        """Call `callback()` once the clock was advanced by `seconds`."""
        timer = _VirtualTimer(callback)
        heapq.heappush(self._due, (self._elapsed + max(delay(seconds), 0.0), next(self._order), timer))
        return timer

    async def sleep(self, seconds: float) -> None:
        """Return once the clock was advanced by `seconds`; at once, after one turn of the loop, for 0."""
        if delay(seconds) <= 0:
            await asyncio.sleep(0)
            return
        woken = asyncio.get_running_loop().create_future()
        timer = self.call_later(seconds, partial(_wake, woken))
        try:
            await woken
        finally:
            timer.cancel()

    def step(self, seconds: float) -> None:
        """Set the wall clock forward, or back where negative, as an operator or NTP does; no time passes."""
        self._start += timedelta(seconds=seconds)

    @property
    def timers(self) -> int:
        """How many timers wait."""
        return sum(not timer.cancelled for _, _, timer in self._due)

    async def advance(self, seconds: float) -> None:
        """Move time on by `seconds`, firing each timer at its own instant and in order.

        Before the first, between any two and after the last one the loop settles, so that what a timer sets
        in motion may set new timers within the same `advance`.
        """
        target = self._elapsed + seconds
        await self.settle()
        while self._due and self._due[0][0] <= target:
            due, _, timer = heapq.heappop(self._due)
            if not timer.cancelled:
                self._elapsed = max(self._elapsed, due)
                timer.fire()
                await self.settle()
        self._elapsed = target

    async def settle(self) -> None:
        """Let the loop run until nothing is ready, or for the clock's number of turns.

        asyncio's loop shows what is ready. uvloop does not, so there every turn is taken.
        """
        ready = getattr(asyncio.get_running_loop(), "_ready", None)
        for _ in range(self._turns):
            await asyncio.sleep(0)
            if ready is not None and not ready:
                return


def _wake(sleeper: asyncio.Future[None]) -> None:
    if not sleeper.done():
        sleeper.set_result(None)


class _VirtualTimer:
    """One entry of a virtual clock's agenda; cancelled, it holds nothing."""

    __slots__ = ("_callback",)

    def __init__(self, callback: Callable[[], object]) -> None:
        self._callback: Callable[[], object] | None = callback

    @property
    def cancelled(self) -> bool:
        return self._callback is None

    def cancel(self) -> None:
        self._callback = None

    def fire(self) -> None:
        callback, self._callback = self._callback, None
        if callback is not None:
            callback()
