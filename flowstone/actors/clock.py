"""Time as the actor core sees it; tests put a virtual clock in its place."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from flowstone.actors.limits import LONGEST, delay

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Clock", "SystemClock", "Timer"]


class Timer(Protocol):
    """What `Clock.call_later` returns; `cancel()` keeps it from firing and is harmless afterwards."""

    def cancel(self) -> None: ...


@runtime_checkable
class Clock(Protocol):
    """Where every deadline, window and time stamp comes from. All durations are float seconds.

    `now()` is the wall clock, aware, in UTC. `monotonic()` are seconds that never run backwards.
    `call_later(seconds, callback)` calls `callback()` on the loop, and `await sleep(seconds)` returns, once so many
    seconds have passed by `monotonic()`, never earlier. Both refuse nan with ValueError.
    """

    def now(self) -> datetime: ...

    def monotonic(self) -> float: ...

    def call_later(self, seconds: float, callback: Callable[[], object]) -> Timer: ...

    async def sleep(self, seconds: float) -> None: ...


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
        self._handle = asyncio.get_running_loop().call_later(min(seconds, LONGEST), self._fire)

    def cancel(self) -> None:
        self._handle.cancel()

    def _fire(self) -> None:
        left = self._due - time.monotonic()
        if left > 0:
            self._handle = asyncio.get_running_loop().call_later(min(left, LONGEST), self._fire)
        else:
            self._callback()
