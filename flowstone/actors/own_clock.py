"""The tree's clock as one incarnation of an actor sees it: its timers end with it.

A timer is set by an object that knows its own state. Fired after a restart, it would tell the next incarnation, by
way of the reference that survives, what was meant for the last one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from flowstone.actors.clock import Clock, Timer

__all__ = ["OwnClock"]


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
        if self._timer is not None:
            self._timer.cancel()

    def _fire(self) -> None:
        self._clock._timers.discard(self)
        self._callback()
