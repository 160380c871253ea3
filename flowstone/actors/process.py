"""What everything in the tree has in common: a name, a start, an end that others are told of."""

from __future__ import annotations

import asyncio
import inspect
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol, TypeAlias, runtime_checkable

from flowstone.actors.affinity import require_loop
from flowstone.actors.exits import Crashed, Exit, Killed, Normal, Shutdown
from flowstone.actors.spawn import Driven, ShutdownTime
from flowstone.actors.tree import ProcessInfo
from flowstone.actors.waiters import Waiters, resolve

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from flowstone.actors.mailbox import Mailbox
    from flowstone.actors.supervisor_context import SupervisorContext

__all__ = ["Process", "Runnable", "RunnableProcess", "Supervised", "TaskProcess"]

State: TypeAlias = Literal["starting", "running", "stopping", "stopped"]


class Process(ABC):
    """One incarnation of a child."""

    kind: ClassVar[str]
    mailbox: Mailbox | None = None
    """Where messages go; only actors have one."""
    chain: tuple[Driven, ...] = ()
    """Who waits for the message in hand, outermost first, this actor last."""

    def __init__(self, name: str, supervisor: SupervisorContext, instance: Any) -> None:
        self.name = name
        self.supervisor = supervisor
        self.instance = instance
        self.state: State = "starting"
        self.exit: Exit | None = None
        self.initialised = False
        self.releases: dict[object, Callable[[Process], None]] = {}
        """Called before anyone is told of the end: registries and its `Ref` let go of it."""
        self.on_exit: Callable[[Process], None] | None = None
        """The supervisor's ear."""
        self._waiters: Waiters[Exit] | None = None
        self._ready: asyncio.Future[None] | None = None

    @abstractmethod
    def launch(self, loop: asyncio.AbstractEventLoop) -> None:
        """Begin to start."""

    @abstractmethod
    def begin_stop(self, shutdown: ShutdownTime) -> None:
        """Begin the stop protocol and return at once."""

    @abstractmethod
    def info(self, restarts: int) -> ProcessInfo:
        """This process in `tree()`."""

    async def ready(self) -> bool:
        """Wait until it has started, or has ended instead (False)."""
        if not self.initialised and self.exit is None:
            self._ready = asyncio.get_running_loop().create_future()
            await self._ready
        return self.initialised

    async def down(self) -> Exit:
        """Wait for its end."""
        if self.exit is not None:
            return self.exit
        require_loop(self.supervisor.loop, self.name)
        if self._waiters is None:
            self._waiters = Waiters()
        return await self._waiters.wait()

    def _started(self) -> None:
        self.initialised = True
        if self.state == "starting":
            self.state = "running"
        if self._ready is not None:
            resolve(self._ready, None)

    def _leave(self, exit: Exit) -> None:  # noqa: A002 - the field's word
        """The end, in OTP's order: names first, then monitors, then the supervisor."""
        self.exit = exit
        self.state = "stopped"
        for release in tuple(self.releases.values()):
            release(self)
        self.releases.clear()
        if self._waiters is not None:
            self._waiters.wake(exit)
        if self._ready is not None:
            resolve(self._ready, None)
        on_exit, self.on_exit = self.on_exit, None  # It leads back here: what has ended stands in no cycle.
        if on_exit is not None:
            on_exit(self)


class TaskProcess(Process, Driven):
    """A process that is one task: an actor, a supervisor, a runnable."""

    supervisor: SupervisorContext

    def __init__(self, name: str, supervisor: SupervisorContext, instance: Any) -> None:
        Process.__init__(self, name, supervisor, instance)
        Driven.__init__(self, name, self._live(), supervisor)

    @abstractmethod
    def _live(self) -> Coroutine[Any, Any, Any]:
        """Its whole life. It calls `_started()` once initialised; an `Exit` it returns is how it ended."""

    def launch(self, loop: asyncio.AbstractEventLoop) -> None:
        self.spawn(loop)

    def begin_stop(self, shutdown: ShutdownTime) -> None:
        if self.exit is None:
            Driven.begin_stop(self, shutdown)
            if self.state != "stopped":
                self.state = "stopping"

    def _untidy(self) -> bool:
        """After a crash the next incarnation must not meet tasks of the last one."""
        return self.error is not None or isinstance(self.result, Crashed)

    def _ended(self) -> None:
        self._leave(self._exit())

    def _exit(self) -> Exit:
        if self._was_killed:
            return Killed()
        if self.error is None:
            return self.result if isinstance(self.result, Exit) else Normal()
        if isinstance(self.error, asyncio.CancelledError) and self._was_cancelled:
            return Shutdown()
        return Crashed(self.error)


class Supervised(ABC):
    """What knows by itself how to be a child: supervisors, of processes and of tasks."""

    __slots__ = ()

    @abstractmethod
    def _as_child(self, name: str, above: SupervisorContext | None) -> Process:
        """The process of this object, in the tree under `above`."""


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

    async def run(self, started: Callable[[], None]) -> None:
        """Live. Call `started()` when ready: the supervisor waits for that before it starts the next child."""


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
            self.supervisor.report("hook_failed", self.name, Crashed(error))
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
