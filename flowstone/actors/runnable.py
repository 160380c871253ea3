"""Whatever else has a lifetime: not everything supervised is an actor."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, runtime_checkable

from flowstone.actors.exits import Crashed
from flowstone.actors.process import TaskProcess
from flowstone.actors.tree import ProcessInfo

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Runnable", "RunnableProcess"]


@runtime_checkable
class Runnable(Protocol):
    """A connection pool, a server, a loop that polls: one coroutine that says when it is ready.

        class Ticker:
            async def run(self, started):
                started()                        # its supervisor goes on to the next child
                while True: ...

    `run` returning is a normal exit, raising a crash; returning before `started()` is a failed start.
    To stop it, its optional `stop(self)`, a plain function, is called, and `run` has the child's `shutdown`
    time to return. Without a `stop` it is cancelled, once, and has the same time to clean up.
    """

    async def run(self, started: Callable[[], None]) -> None: ...


class RunnableProcess(TaskProcess):
    """One incarnation of a runnable."""

    kind: ClassVar[str] = "runnable"

    async def _live(self) -> None:
        if inspect.iscoroutinefunction(getattr(self.instance, "stop", None)):
            raise TypeError(f"{self.name}: stop() only asks run() to return; make it a plain function.")
        await self.instance.run(self._started)
        if not self.initialised:
            raise RuntimeError(f"{self.name}: run() returned before it called started().")

    def _ask(self) -> bool:
        stop: Callable[[], Any] | None = getattr(self.instance, "stop", None)
        if stop is None or not self.initialised:
            return False
        try:
            stop()
        except BaseException as error:
            self.keeper.report("hook_failed", self.name, Crashed(error))
            return False
        return True

    def info(self, restarts: int) -> ProcessInfo:
        return ProcessInfo(
            name=self.name,
            kind=self.kind,
            state=self.state,
            restarts=restarts,
            detail=type(self.instance).__name__,
        )
