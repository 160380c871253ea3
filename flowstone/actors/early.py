"""To begin a part of the tree in the turn of whoever asks for it, and to make it only if it is not over by then.

Tasks are taken by `begin_early`, and an actor that is called by hand knows itself as an `EarlyMe`. If something is
left after that turn, both become children, and go on as if they had been there from the beginning: nothing can
have been seen or stopped meanwhile. A tree of a supervisor, its tasks and an actor costs 100 µs; this costs 10.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flowstone.actors.supervisor_context import SupervisorContext

if TYPE_CHECKING:
    from collections.abc import Callable

    from flowstone.actors.actor import Me
    from flowstone.actors.clock import Clock
    from flowstone.actors.messages import Cast
    from flowstone.actors.supervisor import Supervisor
    from flowstone.actors.tasks import TaskSupervisor

__all__ = ["EarlyMe", "begin_early", "turn_is_spent"]


def begin_early(tasks: TaskSupervisor, below: Supervisor, name: str) -> bool:
    """Have `tasks` take tasks before they are a child: for a part of the tree that is made only if it is needed.

    They must be made a child then, somewhere below that supervisor, unless none of them runs.

    Args:
        tasks: A fresh one.
        below: The supervisor.
        name: Its name in reports: the path of the child that it will be, from there.

    Returns:
        Whether that was done: the supervisor runs.
    """
    process = below._process
    if process is None or process.state != "running":
        return False
    tasks._begin_early(SupervisorContext(name, process.own, tasks._clock))
    return True


def turn_is_spent(supervisor: Supervisor) -> bool:
    """Whether eager starts in its tree have taken their share of this turn of the loop, or nearly."""
    process = supervisor._process
    return process is not None and process.own.eager.spent


class EarlyMe:
    """Stands for `Me` while the actor's first turn runs in somebody else's task; then it leads to the real one.

    Attributes:
        stopped: Whether the actor has ended itself.
        error: What its first turn raised; the actor crashes with it when it is started.
    """

    __slots__ = ("_clock", "_me", "_messages", "_timers", "error", "stopped")

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
    def alive(self) -> bool:
        """As `Ref.alive`."""
        return not self.stopped

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
        """As `Clock.call_later`, but it cannot be cancelled, and the time counts from the start of the actor."""
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
