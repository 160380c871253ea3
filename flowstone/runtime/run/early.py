"""What an actor knows about itself before it is one: messages and timers wait until it is started."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from flowstone.actors import Cast, Clock, Me

__all__ = ["EarlyMe"]


class EarlyMe:
    """Stands for `Me` while the actor's first turn runs in somebody else's task; then it leads to the real one.

    Attributes:
        stopped: Whether the actor has ended itself.
        error: What its first turn raised; the actor crashes with it when it is started.
        alive: As `Ref.alive`.
    """

    __slots__ = ("_clock", "_me", "_messages", "_timers", "error", "stopped")

    alive = True

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._messages: list[Cast[Any]] = []
        self._timers: list[tuple[float, Callable[[], object]]] = []
        self._me: Me | None = None
        self.stopped = False
        self.error: BaseException | None = None

    @property
    def ref(self) -> EarlyMe:
        """What takes its messages."""
        return self

    @property
    def clock(self) -> EarlyMe:
        """What takes its timers."""
        return self

    def monotonic(self) -> float:
        """As `Clock.monotonic`."""
        return self._clock.monotonic()

    def cast(self, message: Cast[Any]) -> None:
        """As `Ref.cast`."""
        if self._me is None:
            self._messages.append(message)
        else:
            self._me.ref.cast(message)

    def call_later(self, seconds: float, callback: Callable[[], object]) -> None:
        """As `Clock.call_later`, except that it cannot be cancelled. The time counts from the start of the actor."""
        if self._me is None:
            self._timers.append((seconds, callback))
        else:
            self._me.clock.call_later(seconds, callback)

    def stop(self) -> None:
        """As `Me.stop`."""
        self.stopped = True

    def become(self, me: Me) -> None:
        """The actor is being started: it gets what has come for it, in order."""
        self._me = me
        for message in self._messages:
            me.ref.cast(message)
        for seconds, callback in self._timers:
            me.clock.call_later(seconds, callback)
        if self.stopped:
            me.stop()

    def raise_error(self) -> None:
        """Raise what the first turn raised, if it did."""
        error, self.error = self.error, None
        if error is not None:
            raise error
