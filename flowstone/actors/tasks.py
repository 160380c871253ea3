"""Many short tasks under one roof: Elixir's Task.Supervisor, made for a hundred thousand starts a second.

Each child is one coroutine in one task: temporary, without a mailbox and without a handshake. What it
raises is a value (`handle.exit`), it can be stopped whatever it does, and it costs about two microseconds
more than a bare task.

    TaskHandle       one task and how it ended
    TaskSupervisor   start; statistics, tree; stop
    TasksProcess     the same as a child of another supervisor
"""

from __future__ import annotations

import asyncio
import math
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any, ClassVar, Self

from flowstone.actors.affinity import require_loop, running_loop, wrong_loop
from flowstone.actors.exits import Crashed, Exit, Killed, Normal, Shutdown
from flowstone.actors.limits import at_least, check_max_children
from flowstone.actors.process import Process, Supervised
from flowstone.actors.refusals import no_room
from flowstone.actors.spawn import Driven, ShutdownTime
from flowstone.actors.supervisor_context import SupervisorContext
from flowstone.actors.tree import ProcessInfo
from flowstone.actors.waiters import Waiters, resolve
from flowstone.errors import ActorDown
from flowstone.frozen import frozen

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator
    from contextvars import Context

    from flowstone.actors.clock import Clock, Timer

__all__ = ["TaskHandle", "TaskStatistics", "TaskSupervisor", "TasksProcess"]


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

    supervisor: SupervisorContext

    def __init__(
        self,
        name: str,
        coroutine: Coroutine[Any, Any, Any],
        tasks: TaskSupervisor,
        on_exit: Callable[[TaskHandle, Exit], object] | None,
    ) -> None:
        # As Driven.__init__ does, whose call is felt here.
        self.name = name
        self.coroutine = coroutine
        self.supervisor = tasks._own
        self.context = self.task = self.halt = self.child_tasks = self.work = self.result = self.error = None
        self.exit: Exit | None = None
        self._tasks = tasks
        self._on_exit = on_exit
        self._waiters: Waiters[Exit] | None = None

    def rename(self, name: str) -> None:
        """Give another name to it, and to its asyncio task."""
        self.name = name
        if self.task is not None:
            self.task.set_name(name)

    def call_on_exit(self, on_exit: Callable[[TaskHandle, Exit], object]) -> None:
        """As if `on_exit` had been given to `start`; at once, in the caller's context, if it is over."""
        if self.exit is None:
            self._on_exit = on_exit
        else:
            on_exit(self, self.exit)

    def cancel(self) -> None:
        """Begin to stop it: one cancel, `shutdown` seconds to obey, then it is killed. Does not wait."""
        require_loop(self.supervisor.loop, self.name)
        self.begin_stop(self._tasks.shutdown)

    def kill(self) -> None:
        """Never resume it again, now."""
        require_loop(self.supervisor.loop, self.name)
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
        require_loop(self.supervisor.loop, self.name)
        if self._waiters is None:
            self._waiters = Waiters()
        return await self._waiters.wait()

    def __repr__(self) -> str:
        return f"<TaskHandle {self.name} {'running' if self.exit is None else self.exit}>"

    def _finish(self, result: Any, error: BaseException | None) -> None:
        if error is not None or self.halt is not None:
            super()._finish(result, error)
            return
        # As there, for nearly all ends: it returned, and nobody had asked it to stop.
        self.result = result
        self.coroutine = self.task = self.context = self.work = None
        self._leave(NORMAL)

    def _ended(self) -> None:
        self._leave(self._how())

    def _leave(self, how: Exit) -> None:
        self.exit = how
        tasks = self._tasks
        del tasks._running[self]
        tasks._done += 1
        if how is not NORMAL:
            tasks._crashed += isinstance(how, Crashed)
            tasks._killed += isinstance(how, Killed)
        on_exit, self._on_exit = self._on_exit, None
        if on_exit is not None:
            self.supervisor.call(self.name, on_exit, self, how)
        if self._waiters is not None:
            self._waiters.wake(how)
        if not tasks._open:
            tasks._maybe_closed()

    def _how(self) -> Exit:
        if self.halt is not None:
            if self.halt.killed:
                return Killed()
            if isinstance(self.error, asyncio.CancelledError):
                return Shutdown()
        return NORMAL if self.error is None else Crashed(self.error)


@frozen
class TaskStatistics:
    """A task supervisor at one instant.

    Attributes:
        running: Tasks that have not ended.
        done: Tasks that ended, in whatever way.
        crashed: Of these, how many raised.
        killed: Of these, how many were killed.
        abandoned: Tasks left behind that could not be stopped and still run.
    """

    running: int
    done: int
    crashed: int
    killed: int
    abandoned: int


class TaskSupervisor(Supervised):
    """Starts and stops tasks. A child of a `Supervisor`, or on its own with `async with`.

    Args:
        shutdown: Seconds a task has between its one cancel and the kill; "kill" for none, `math.inf` for any.
        max_children: How many tasks may run at a time; None for any number.
        name: Shown in logs and trees where it has no child name.
        clock: Default: that of the supervisor above, else the system's.

    Raises:
        ValueError: `shutdown` or `max_children` is out of range, or nan.
    """

    def __init__(
        self,
        *,
        shutdown: ShutdownTime = 5.0,
        max_children: int | None = None,
        name: str = "tasks",
        clock: Clock | None = None,
    ) -> None:
        _check_shutdown(shutdown)
        check_max_children(max_children)
        self.shutdown: ShutdownTime = shutdown
        self.max_children = max_children
        self.name = name
        self._clock = clock
        self._own: SupervisorContext
        self._loop: asyncio.AbstractEventLoop | None = None
        self._running: dict[TaskHandle, None] = {}
        self._closed: list[Callable[[], None]] = []
        self._deadline: Timer | None = None
        self._open = False
        self._early = False  # Begun before it is a child.
        self._done = self._crashed = self._killed = 0

    def start(
        self,
        name: str,
        coroutine: Coroutine[Any, Any, Any],
        on_exit: Callable[[TaskHandle, Exit], object] | None = None,
        *,
        context: Context | None = None,
        eager: bool = False,
    ) -> TaskHandle:
        """Start a task; it runs from the loop's next turn on.

        Args:
            name: For people: logs, `tree()`, the asyncio task. Need not be unique.
            coroutine: Runs in a context of its own, empty unless `context` says otherwise.
            on_exit: Called as `on_exit(handle, exit)`, synchronously, when the task is over: finished, killed
                or abandoned. What it raises is reported.
            context: Context variables the task begins with (a copy is made).
            eager: Begin now: the coroutine runs up to its first suspension before this returns, and `on_exit` has
                been called if it ended. It begins in the loop's next turn nevertheless where a `context` is given,
                within another eager start, and when such starts have taken a millisecond of this turn.

        Raises:
            ActorDown: The supervisor has not been started, or stops. The coroutine is closed.
            WrongLoop: It runs on another event loop. The coroutine is closed.
            ChildError: `max_children` run, those that are being stopped included. The coroutine is closed.
        """
        loop = self._loop
        if loop is None or not self._open:
            coroutine.close()
            raise ActorDown(f"{self.name} takes no tasks: it is not running.", self.name)
        if running_loop() is not loop:
            coroutine.close()
            raise wrong_loop(loop, self.name)
        if self.max_children is not None and len(self._running) >= self.max_children:
            coroutine.close()
            raise no_room(self.name, name, self.max_children)
        handle = TaskHandle(name, coroutine, self, on_exit)
        self._running[handle] = None
        if not eager or context is not None or not self._own.eager.begin(handle):
            handle.spawn(loop, context)
        return handle

    @property
    def running(self) -> Iterator[TaskHandle]:
        """The tasks that have not ended, oldest first."""
        return iter(tuple(self._running))

    def statistics(self) -> TaskStatistics:
        """How many tasks run, and how those that are over have ended."""
        return TaskStatistics(
            running=len(self._running),
            done=self._done,
            crashed=self._crashed,
            killed=self._killed,
            abandoned=len(self._own.abandoned) if self._loop is not None else 0,
        )

    def tree(self, limit: int = 20) -> ProcessInfo:
        """This supervisor and its oldest `limit` running tasks."""
        return self._info(self.name, "running" if self._open else "stopped", 0, limit)

    async def stop(self, shutdown: ShutdownTime = math.inf) -> None:
        """Take no more tasks, stop all that run, together, and wait for their ends.

        Args:
            shutdown: A bound for the whole, on top of each task's own; "kill" kills them now.

        Raises:
            ValueError: `shutdown` is nan or negative.
        """
        _check_shutdown(shutdown)
        if self._loop is not None:
            require_loop(self._loop, self.name)
        closed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._closed.append(partial(resolve, closed, None))
        self._close(shutdown)
        await closed

    async def __aenter__(self) -> Self:
        self._begin(SupervisorContext(self.name, None, self._clock), asyncio.get_running_loop())
        self._own.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        try:
            await self.stop()
            await self._own.sweep_tree()
        finally:
            self._own.close()

    # The supervisor's side ----------------------------------------------------------------------------------

    def _as_child(self, name: str, above: SupervisorContext | None) -> TasksProcess:
        if self._loop is not None and not self._early:
            raise RuntimeError(f"{name}: a TaskSupervisor runs once; build a fresh one for each start.")
        self._early = False
        self.name = name
        return TasksProcess(name, above or SupervisorContext(name, None, self._clock), self)

    def _begin_early(self, own: SupervisorContext) -> None:
        self._early = True
        self._begin(own, own.loop)

    def _begin(self, own: SupervisorContext, loop: asyncio.AbstractEventLoop) -> None:
        self._own = own
        self._loop = loop
        self._open = True

    def _close(self, shutdown: ShutdownTime) -> None:
        self._open = False
        each = shutdown if shutdown == "kill" else self.shutdown
        for handle in tuple(self._running):
            handle.begin_stop(each)
        if self._deadline is not None:
            self._deadline.cancel()
        if self._running and not isinstance(shutdown, str) and shutdown != math.inf:
            self._deadline = self._own.clock.call_later(shutdown, self._kill_all)
        self._maybe_closed()

    def _kill_all(self) -> None:
        for handle in tuple(self._running):
            handle.begin_stop("kill")

    def _maybe_closed(self) -> None:
        if self._open or self._running:
            return
        if self._deadline is not None:
            self._deadline.cancel()
        closed, self._closed = self._closed, []
        for tell in closed:
            tell()

    def _info(self, name: str, state: str, restarts: int, limit: int = 20) -> ProcessInfo:
        statistics = self.statistics()
        tasks = tuple(
            ProcessInfo(handle.name, "task", "running" if handle.halt is None else "stopping")
            for handle in islice(self._running, limit)
        )
        return ProcessInfo(
            name=name,
            kind="tasks",
            state=state,
            restarts=restarts,
            children=tasks,
            abandoned=self._own.abandoned if self._loop is not None else (),
            detail=f"{statistics.running} running, {statistics.done} done",
        )


def _check_shutdown(shutdown: ShutdownTime) -> None:
    if shutdown != "kill" and not at_least(0, shutdown):
        raise ValueError(f"shutdown is seconds >= 0, 'kill' or math.inf, not {shutdown!r}.")


class TasksProcess(Process):
    """A task supervisor as a child: it has no task of its own, so it starts and, when idle, stops at once."""

    kind: ClassVar[str] = "tasks"
    instance: TaskSupervisor

    def launch(self, loop: asyncio.AbstractEventLoop) -> None:
        if self.instance._loop is None:
            own = SupervisorContext(self.name, self.supervisor, self.instance._clock)
            self.instance._begin(own, loop)
        self.instance._closed.append(self._closed)  # Also if its own stop() is called.
        self._started()

    def begin_stop(self, shutdown: ShutdownTime) -> None:
        if self.exit is None:
            self.state = "stopping"
            self.instance._close(shutdown)

    def _closed(self) -> None:
        if self.exit is None:
            self.instance._own.retire()
            self._leave(Shutdown())

    def info(self, restarts: int) -> ProcessInfo:
        return self.instance._info(self.name, self.state, restarts)
