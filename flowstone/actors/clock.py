"""Time as the actor core sees it; tests put a virtual clock in its place."""

from __future__ import annotations

import asyncio
import math
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from flowstone.actors.limits import LONGEST, delay

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Clock", "OwnClock", "SystemClock", "Timer", "noticed_within"]


class Timer(Protocol):
    """What `Clock.call_later` returns."""

    def cancel(self) -> None:
        """Keep it from firing; harmless when it has fired or was cancelled."""


@runtime_checkable
class Clock(Protocol):
    """Where every deadline, window and time stamp comes from. All durations are float seconds."""

    def now(self) -> datetime:
        """The wall clock: aware, in UTC."""

    def monotonic(self) -> float:
        """Seconds since an arbitrary instant; they never run backwards."""

    def call_later(self, seconds: float, callback: Callable[[], object]) -> Timer:
        """Call `callback()` on the loop once `seconds` have passed by `monotonic()`, never earlier.

        Raises:
            ValueError: `seconds` is nan.
        """

    async def sleep(self, seconds: float) -> None:
        """Return once `seconds` have passed by `monotonic()`, never earlier.

        Raises:
            ValueError: `seconds` is nan.
        """


def noticed_within(clock: Clock, seconds: float) -> float:
    """How long whoever waits for an instant may wait before looking again at the wall clock, which may be set.

    Args:
        clock: Which clock; one that says it is `steady` is never set.
        seconds: After how long it is to be noticed.
    """
    return math.inf if getattr(clock, "steady", False) else seconds


class SystemClock:
    """The real clock, with the running loop's timers."""

    __slots__ = ()

    monotonic = staticmethod(time.monotonic)

    def now(self) -> datetime:
        return datetime.now(UTC)

    def call_later(self, seconds: float, callback: Callable[[], object]) -> Timer:
        return _LoopTimer(seconds, callback)

    async def sleep(self, seconds: float) -> None:
        due = time.monotonic() + delay(seconds)
        while (left := due - time.monotonic()) > 0:  # noqa: ASYNC110 - not polling: a timer may be early
            await asyncio.sleep(min(left, LONGEST))
        if seconds <= 0:
            await asyncio.sleep(0)


class _LoopTimer:
    """A loop timer that is never early: uvloop rounds to milliseconds, half of one too soon at worst."""

    __slots__ = ("_callback", "_due", "_handle")

    def __init__(self, seconds: float, callback: Callable[[], object]) -> None:
        self._callback = callback
        self._due = time.monotonic() + delay(seconds)
        loop = asyncio.get_running_loop()
        self._handle: asyncio.TimerHandle | None = loop.call_later(min(seconds, LONGEST), self._fire)

    def cancel(self) -> None:
        if self._handle is not None:
            self._handle.cancel()

    def _fire(self) -> None:
        self._handle = None  # It leads back here.
        left = self._due - time.monotonic()
        if left > 0:
            self._handle = asyncio.get_running_loop().call_later(min(left, LONGEST), self._fire)
        else:
            self._callback()


class OwnClock:
    """A `Clock` that forgets its timers when it is stopped.

    `sleep` is the tree's own: who awaits it is a task, and ends with the actor or has a reason to go on.
    """

    __slots__ = ("_clock", "_stopped", "_timers")

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._stopped = False
        self._timers: set[_OwnTimer] = set()

    def now(self) -> datetime:
        return self._clock.now()

    def monotonic(self) -> float:
        return self._clock.monotonic()

    async def sleep(self, seconds: float) -> None:
        await self._clock.sleep(seconds)

    def call_later(self, seconds: float, callback: Callable[[], object]) -> Timer:
        """Call `callback()` after so many seconds, unless the incarnation has ended by then."""
        return _OwnTimer(self, seconds, callback)

    def stop(self) -> None:
        """The incarnation has ended."""
        self._stopped = True
        for timer in tuple(self._timers):
            timer.cancel()


class _OwnTimer:
    """One timer, known to its clock until it fires or is cancelled."""

    __slots__ = ("_callback", "_clock", "_timer")

    def __init__(self, clock: OwnClock, seconds: float, callback: Callable[[], object]) -> None:
        self._clock = clock
        self._callback = callback
        self._timer: Timer | None = None
        if not clock._stopped:
            self._timer = clock._clock.call_later(seconds, self._fire)
            clock._timers.add(self)

    def cancel(self) -> None:
        self._clock._timers.discard(self)
        timer, self._timer = self._timer, None
        if timer is not None:
            timer.cancel()

    def _fire(self) -> None:
        self._clock._timers.discard(self)
        self._timer = None  # It leads back here.
        self._callback()
