"""One task of a `TaskSupervisor`, and how it ends."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from flowstone.actors.affinity import require_loop
from flowstone.actors.exits import Crashed, Exit, Killed, Normal, Shutdown
from flowstone.actors.spawn import Driven
from flowstone.actors.waiters import Waiters

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from flowstone.actors.tasks import TaskSupervisor

__all__ = ["NORMAL", "TaskHandle"]

NORMAL = Normal()
"""The exit of nearly every task: one object for all of them."""


class TaskHandle(Driven):
    """A task of a `TaskSupervisor`. It is also what the loop drives: leave `send`, `throw` and `close` to it.

    Attributes:
        name: As given to `start`.
        exit: How it ended, or None while it runs.
        result: What the coroutine returned.
    """

    __slots__ = ("_on_exit", "_tasks", "_waiters", "exit")

    def __init__(
        self,
        name: str,
        coroutine: Coroutine[Any, Any, Any],
        tasks: TaskSupervisor,
        on_exit: Callable[[TaskHandle, Exit], object] | None,
    ) -> None:
        super().__init__(name, coroutine, tasks._keeper)
        self.exit: Exit | None = None
        self._tasks = tasks
        self._on_exit = on_exit
        self._waiters: Waiters[Exit] | None = None

    def cancel(self) -> None:
        """Begin to stop it: one cancel, `shutdown` seconds to obey, then it is killed. Does not wait."""
        require_loop(self.keeper.loop, self.name)
        self.begin_stop(self._tasks.shutdown)

    def kill(self) -> None:
        """Never resume it again, now."""
        require_loop(self.keeper.loop, self.name)
        self.begin_stop("kill")

    @property
    def cancelled_by_us(self) -> bool:
        """Whether `cancel`, `kill` or the supervisor's stop came before it ended.

        Judge a cancellation by this and never by an exception's type: a coroutine may raise
        `CancelledError` by itself (that is `Crashed`), and may return a value although it was cancelled.
        """
        return self.halt is not None

    async def down(self) -> Exit:
        """Wait for its end and say how it was."""
        if self.exit is not None:
            return self.exit
        require_loop(self.keeper.loop, self.name)
        if self._waiters is None:
            self._waiters = Waiters()
        return await self._waiters.wait()

    def __repr__(self) -> str:
        return f"<TaskHandle {self.name} {'running' if self.exit is None else self.exit}>"

    def _ended(self) -> None:
        self.exit = how = self._how()
        self._tasks._forget(self, how)
        if self._on_exit is not None:
            self.keeper.call(self.name, self._on_exit, self, how)
            self._on_exit = None
        if self._waiters is not None:
            self._waiters.wake(how)
        self._tasks._maybe_closed()

    def _how(self) -> Exit:
        if self.halt is not None:
            if self.halt.killed:
                return Killed()
            if isinstance(self.error, asyncio.CancelledError):
                return Shutdown()
        return NORMAL if self.error is None else Crashed(self.error)
