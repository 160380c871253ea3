"""The one place that makes tasks: every coroutine of the tree is driven by hand, so that it can be killed.

asyncio's own answer to "stop" is an exception thrown into the coroutine, which the coroutine may swallow
for ever. So the task does not run the user's coroutine. It runs a `Driven`, an object with the coroutine
protocol that forwards each resumption to the coroutine it holds, until it no longer does: that is the kill.
The same object is the guard. Whatever the coroutine raises, `SystemExit` included, becomes `error` here; the
asyncio task itself always ends with None and never tears down the loop.

    stop(5.0)     asked, or one cancel ── 5 s ──> killed ── what is left of it gets GRACE ──> abandoned
                  └ a process that could be asked: asked ── 5 s ──> one cancel ── GRACE ──> killed ──> ...

Exactly one cancel is sent: a second one would interrupt the `finally` that the first one started.

Rejected: a generator in an `async def` (two frames more to create and to resume per task), a done-callback
as the sign of the end (one turn of the loop later), and `asyncio.TaskGroup` or anyio's, which both wait for a
task that swallows cancellation, without end.
"""

from __future__ import annotations

import asyncio
import math
from abc import abstractmethod
from collections.abc import Coroutine
from contextvars import Context, ContextVar
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias
from weakref import ref

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from flowstone.actors.clock import Clock, Timer

__all__ = [
    "GRACE",
    "OWNER",
    "ChildTasks",
    "Driven",
    "ShutdownTime",
    "Supervising",
    "current",
    "finish",
    "new_context",
    "stop_was_requested",
]

ShutdownTime: TypeAlias = float | Literal["kill"]

GRACE = 0.05
"""Seconds for each of the two steps after a shutdown time is over: the whole bound is 0.1 s longer."""

OWNER: ContextVar[Driven | None] = ContextVar("flowstone_owner", default=None)
"""What this code runs for. Tasks that user code creates inherit it, which is how they are found again."""


_FEW = 16


class Supervising(Protocol):
    """What a `Driven` needs of the supervisor above it: the clock of a stop, and care of what is left behind.

    It is a `SupervisorContext`, whose methods say what they do.
    """

    clock: Clock
    loop: asyncio.AbstractEventLoop

    @property
    def root(self) -> object: ...

    def sweep(self, owner: Driven, seconds: float, then: Callable[[], None]) -> None: ...

    def hurry(self, owner: Driven, seconds: float) -> None: ...

    def close_killed(self, coroutine: Coroutine[Any, Any, Any], context: Context | None) -> None: ...


class ChildTasks:
    """The tasks that one owner has started: held weakly, and asked whether they have ended only now and then.

    Rejected: to be called when each of them ends, which is one more turn of the loop for every task.
    """

    __slots__ = ("_room", "_tasks")

    def __init__(self) -> None:
        self._tasks: list[ref[asyncio.Task[Any]]] = []
        self._room = _FEW

    def __len__(self) -> int:
        """How many are remembered: of those that have ended, at most as many as live and a few."""
        return len(self._tasks)

    def add(self, task: asyncio.Task[Any]) -> None:
        """It has just been started."""
        self._tasks.append(ref(task))
        if len(self._tasks) > self._room:
            self._tasks = [ref(living) for living in self.living()]
            self._room = 2 * len(self._tasks) + _FEW

    def living(self) -> Iterator[asyncio.Task[Any]]:
        """Those that have not ended."""
        for each in self._tasks:
            task = each()
            if task is not None and not task.done():
                yield task


class _Halt:
    """How far the stop of one `Driven` has come."""

    __slots__ = ("cancelled", "due", "killed", "overdue", "timer")

    def __init__(self) -> None:
        self.cancelled = False
        self.killed = False
        self.overdue = False
        self.due = math.inf
        self.timer: Timer | None = None


class Driven(Coroutine[Any, Any, None]):
    """A coroutine in a task, with a guard around it and a way to kill it.

    Subclasses say what happens when it is over (`_ended`), and whether it can be asked to stop (`_ask`).
    `send`, `throw` and `close` are the loop's side of it. `work` is what it does, for those who find it by `OWNER`:
    whoever does it says so, and it is forgotten with the end.
    """

    __slots__ = (
        "child_tasks",
        "context",
        "coroutine",
        "error",
        "halt",
        "name",
        "result",
        "supervisor",
        "task",
        "work",
    )

    def __init__(self, name: str, coroutine: Coroutine[Any, Any, Any], supervisor: Supervising) -> None:
        self.name = name
        self.coroutine: Coroutine[Any, Any, Any] | None = coroutine
        self.supervisor = supervisor
        self.context: Context | None = None
        self.task: asyncio.Task[None] | None = None
        self.halt: _Halt | None = None
        self.child_tasks: ChildTasks | None = None
        self.work: Any = None
        self.result: Any = None
        self.error: BaseException | None = None

    def spawn(self, loop: asyncio.AbstractEventLoop, context: Context | None = None) -> None:
        """Begin to run, at the loop's next turn, in a context of its own."""
        self.context = context = new_context(loop) if context is None else context.copy()
        context.run(OWNER.set, self)
        # Not loop.create_task: an eager task factory would run the first step before we hold the task.
        self.task = asyncio.Task(self, loop=loop, name=self.name, context=context)

    # Driving ------------------------------------------------------------------------------------------------

    def send(self, value: Any) -> Any:
        halt = self.halt
        if self.coroutine is not None and (halt is None or not halt.killed):
            if self.task is None:
                self.task = asyncio.current_task()  # Begun eagerly.
            result, error = None, None
            try:
                return self.coroutine.send(value)
            except StopIteration as stop:
                result = stop.value
            except BaseException as raised:
                error = raised
            # Not in a handler: what begins in the turn of this end would have the exception for its context.
            self._finish(result, error)
            del self, error  # From Python 3.12 on the error's frames keep this one: no cycle through it.
        raise StopIteration

    def throw(self, *error: Any) -> Any:
        halt = self.halt
        if self.coroutine is not None and (halt is None or not halt.killed):
            result, failure = None, None
            try:
                return self.coroutine.throw(*error)
            except StopIteration as stop:
                result = stop.value
            except BaseException as raised:
                failure = raised
            self._finish(result, failure)  # As in send.
            del self, failure, error
        raise StopIteration

    def close(self) -> None:
        if self.coroutine is not None:
            self.coroutine.close()

    def __await__(self) -> Any:
        """A `Driven` is run by a task, never awaited; the protocol wants the method."""
        raise RuntimeError(f"{self.name} runs in its own task; await its down() instead")

    @property
    def cr_frame(self) -> Any:
        """The coroutine's frame, so that `task.get_stack()` and debuggers see user code."""
        return getattr(self.coroutine, "cr_frame", None)

    @property
    def cr_await(self) -> Any:
        return getattr(self.coroutine, "cr_await", None)

    @property
    def cr_code(self) -> Any:
        return getattr(self.coroutine, "cr_code", None)

    @property
    def cr_running(self) -> bool:
        return bool(getattr(self.coroutine, "cr_running", False))

    @property
    def cr_suspended(self) -> bool:
        return bool(getattr(self.coroutine, "cr_suspended", False))

    # Stopping -----------------------------------------------------------------------------------------------

    def begin_stop(self, shutdown: ShutdownTime) -> None:
        """Begin the stop protocol and return at once. Asked again with "kill", it hurries."""
        if self.task is None:
            return
        if self.coroutine is None:
            # It has ended; at most its leftovers are still awaited.
            if shutdown == "kill":
                self.supervisor.hurry(self, GRACE)
            return
        if self.halt is not None:
            if shutdown == "kill":
                self._kill()
            return
        self.halt = _Halt()
        if shutdown == "kill":
            self._kill()
        elif self._ask():
            self._after(shutdown, self._overdue)
        else:
            self._cancel()
            self._after(shutdown, self._kill)

    def _ask(self) -> bool:
        """Ask it to end by itself; False where it cannot be asked and a cancel must do."""
        return False

    def _cancel(self) -> None:
        if self.halt is not None and self.task is not None:
            self.halt.cancelled = True
            self.task.cancel()

    def _overdue(self) -> None:
        """It was asked and its time is over: the one cancel, then a last moment."""
        if self.halt is not None:
            self.halt.overdue = True
            self._cancel()
            self._after(GRACE, self._kill)

    def _kill(self) -> None:
        """Never resume it again. What the task waits for is cancelled, to end the task as well."""
        halt, task = self.halt, self.task
        if halt is None or task is None or halt.killed:
            return
        halt.killed = True
        self._disarm()
        task.cancel()
        self.supervisor.sweep(self, GRACE, self._over)

    def _limit(self, seconds: float) -> None:
        """It ends by itself, and has this long for it."""
        self.halt = _Halt()
        self._after(seconds, self._overdue)

    def _after(self, seconds: float, action: Callable[[], None]) -> None:
        self._disarm()
        if self.halt is not None and seconds != math.inf:
            self.halt.due = self.supervisor.clock.monotonic() + seconds
            self.halt.timer = self.supervisor.clock.call_later(seconds, action)

    def _disarm(self) -> None:
        if self.halt is not None and self.halt.timer is not None:
            self.halt.timer.cancel()
            self.halt.timer = None

    # Ending -------------------------------------------------------------------------------------------------

    def _finish(self, result: Any, error: BaseException | None) -> None:
        """The coroutine is over. Its tasks are looked for only where a stop or `_untidy` calls for it."""
        self.result, self.error, self.coroutine = result, error, None
        if error is not None and error.__traceback__ is not None:
            # The first frame is ours. It says nothing to anybody, and would tie error and task into a cycle.
            error.__traceback__ = error.__traceback__.tb_next
        halt = self.halt
        if halt is not None:
            if halt.killed:
                return
            self._disarm()
        if self._untidy() or (halt is not None and halt.cancelled):
            left = 0.0 if halt is None else halt.due - self.supervisor.clock.monotonic()
            self.supervisor.sweep(self, max(GRACE, left), self._over)
        else:
            self._over()

    def _untidy(self) -> bool:
        """Whether an end nobody asked for must be followed by a sweep. A scan costs; the default is no."""
        return False

    def _over(self) -> None:
        self.task = self.work = None
        self._ended()
        coroutine, self.coroutine = self.coroutine, None
        if coroutine is not None:
            self.supervisor.close_killed(coroutine, self.context)
        self.context = None

    @abstractmethod
    def _ended(self) -> None:
        """It is over, for whatever reason; called once."""

    def _let_die(self) -> None:
        """In an `except BaseException`: when a killed coroutine is closed, let GeneratorExit pass."""
        if self.halt is not None and self.halt.killed:
            raise  # noqa: PLE0704 - called while the exception is handled

    @property
    def _was_killed(self) -> bool:
        return self.halt is not None and (self.halt.killed or self.halt.overdue)

    @property
    def _was_cancelled(self) -> bool:
        return self.halt is not None and self.halt.cancelled


def new_context(loop: asyncio.AbstractEventLoop) -> Context:
    """An empty context; a loop that simulates several processes marks it with the one that runs."""
    make: Callable[[], Context] = getattr(loop, "new_context", Context)
    return make()


def current() -> Driven | None:
    """The `Driven` whose own task is running, or None: in a task that user code created it is None too."""
    owner = OWNER.get()
    if owner is not None and owner.task is not None and owner.task is asyncio.current_task():
        return owner
    return None


def stop_was_requested(error: BaseException | None = None) -> bool:
    """Whether the task that runs was asked to stop; for code that catches what a user's function raises.

    `Task.cancelling()` alone does not say it: before Python 3.13 it still counts the cancel by which a task group
    of which a task failed woke its owner.

    Args:
        error: What was caught. In a task of the user's only that tells: it is a `CancelledError`.
    """
    driven = current()
    if driven is not None and driven._was_cancelled:
        return True
    task = asyncio.current_task()
    return isinstance(error, asyncio.CancelledError) and task is not None and task.cancelling() > 0


async def finish(answer: object) -> object:
    """The value of what a hook returned, whether it was written `async def` or `def`."""
    if isinstance(answer, Coroutine):
        return await answer
    return answer
