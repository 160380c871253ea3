"""How long an attempt may go on: a timer that stands still while the attempt waits for a thread."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from flowstone.actors import Clock
    from flowstone.actors.clock import Timer

__all__ = ["Deadline"]


class Deadline:
    """Calls `expired()` once it has run for `seconds`, pauses left out.

    Args:
        clock: Measures.
        seconds: How long it may run.
        expired: What happens then.
    """

    __slots__ = ("_clock", "_expired", "_left", "_since", "_timer")

    def __init__(self, clock: Clock, seconds: float, expired: Callable[[], object]) -> None:
        self._clock = clock
        self._left = seconds
        self._expired: Callable[[], object] | None = expired
        self._since = 0.0
        self._timer: Timer | None = None

    def run(self) -> None:
        """Begin, or go on; nothing once it is closed."""
        if self._timer is None and self._expired is not None:
            self._since = self._clock.monotonic()
            self._timer = self._clock.call_later(self._left, self._expired)

    def pause(self) -> None:
        """Stand still until `run` is called again."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
            self._left = max(0.0, self._left - (self._clock.monotonic() - self._since))

    def close(self) -> None:
        """It expires no more."""
        self.pause()
        self._expired = None
