"""The tasks that assets start: they cannot end the event loop, and they end with the function that started them.

asyncio gives neither. A `SystemExit` in a task leaves `run_forever` whoever awaits that task; a task that is not
awaited lives on when the function that started it has returned, or is being tried again; and one that swallows
its cancel lives for ever. So while a runtime runs, tasks are made by a factory of ours. It looks at the context
a task is made in: if it belongs to the runtime's tree, its coroutine is driven by a `_Child`, which contains
such exits and dies with its owner; and one that an asset's function has started joins the `ChildTasks` of that
call. Every other task of the application is made as before.

Rejected: finding such tasks afterwards among all tasks of the loop, which costs each step what the whole
application does at that moment.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from collections.abc import Set as AbstractSet
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, NoReturn

from flowstone.actors.child_tasks import TaskFactory
from flowstone.actors.spawn import GRACE, OWNER
from flowstone.actors.waiters import resolve
from flowstone.runtime.execution.guard import ExitInTask

if TYPE_CHECKING:
    from contextvars import Context

    from flowstone.actors import Clock
    from flowstone.actors.spawn import Driven

__all__ = ["CHILD_TASKS", "ChildTasks", "adopt_tasks"]

_GENERATIONS = 10
"""Cleaning up may take tasks, and those may take others; one that always leaves another does not clean up."""


class ChildTasks:
    """The unfinished tasks that one call of a function has started, and those that they started.

    Attributes:
        tasks: The tasks.
        closed: Whether new ones are cancelled before they begin: the call is over.
        killed: Whether none of them is resumed any more.
    """

    # The class's until they change: most functions start no task, and then nothing but the object itself is made.
    tasks: AbstractSet[asyncio.Task[Any]] = frozenset()
    closed = False
    killed = False
    _late = False
    _name: str | None = None
    _waiter: asyncio.Future[None] | None = None
    _round: set[asyncio.Task[Any]]

    def add(self, task: asyncio.Task[Any]) -> None:
        """It has just been started."""
        if self.closed:
            task.cancel()  # Before its first step: nothing of it ever runs.
            return
        self._own().add(task)
        task.add_done_callback(self._gone)
        if self._name is not None:
            # Not now: who makes the task with a name of its own gives it that name after us.
            task.get_loop().call_soon(self._sign, task)

    def _own(self) -> set[asyncio.Task[Any]]:
        tasks = self.tasks if isinstance(self.tasks, set) else set()
        self.tasks = tasks
        return tasks

    def sign(self, name: str) -> None:
        """Put a name before those of the tasks: if one has to be abandoned, people should know whose it was."""
        if self._name is None:
            self._name = name
            for task in self.tasks:
                self._sign(task)

    def _sign(self, task: asyncio.Task[Any]) -> None:
        task.set_name(f"{self._name}: {task.get_name()}")

    async def dismiss(self, clock: Clock, seconds: float) -> list[asyncio.Task[Any]]:
        """Cancel them, and what they start meanwhile; after `seconds`, kill them.

        Returns those that are still there, which nothing can end.
        """
        try:
            await self._cancel(clock, seconds)
            self.closed = self.killed = True
            await self._cancel(clock, GRACE)
        finally:
            self.closed = True
        return sorted(self.tasks, key=lambda task: task.get_name())

    async def _cancel(self, clock: Clock, seconds: float) -> None:
        """Cancel them once each, generation by generation, and wait."""
        generations = 0
        self._late = False
        timer = clock.call_later(seconds, self._give_up)
        try:
            while self.tasks and not self._late:
                generations += 1
                self.closed = self.closed or generations > _GENERATIONS
                self._round = set(self.tasks)
                self._waiter = asyncio.get_running_loop().create_future()
                for task in self._round:
                    task.cancel()
                await self._waiter
        finally:
            timer.cancel()

    def _gone(self, task: asyncio.Task[Any]) -> None:
        self._own().discard(task)
        if self._waiter is not None:
            if not task.cancelled():
                task.exception()  # Nobody is left to receive it; unretrieved, the loop would report it.
            self._round.discard(task)
            if not self._round:
                self._wake()

    def _give_up(self) -> None:
        self._late = True
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None:
            resolve(self._waiter, None)


CHILD_TASKS: ContextVar[ChildTasks | None] = ContextVar("flowstone_child_tasks", default=None)
"""The call of an asset's function that this code runs in; None outside of any."""


def adopt_tasks(loop: asyncio.AbstractEventLoop) -> TaskFactory:
    """Make the loop's tasks by our factory, until what this returns has been released as often."""
    return _Factory.adopt(loop)


class _Factory(TaskFactory):
    """Makes tasks as `before` did, and looks after those that belong to a runtime."""

    def __call__(self, loop: asyncio.AbstractEventLoop, coroutine: Any, **options: Any) -> Any:
        context: Context | None = options.get("context")
        owner, child_tasks = (
            (OWNER.get(), CHILD_TASKS.get())
            if context is None
            else (context.get(OWNER), context.get(CHILD_TASKS))
        )
        if owner is not None and isinstance(coroutine, Coroutine):
            coroutine = _Child(coroutine, owner, child_tasks)
        task = super().__call__(loop, coroutine, **options)
        if child_tasks is not None:
            child_tasks.add(task)
        return task


class _Child(Coroutine[Any, Any, Any]):
    """Drives the coroutine of a task that user code has started.

    What would end the loop, such as `SystemExit`, reaches whoever awaits the task, and not the loop. When the
    owner, or the call that started it, has been killed, the coroutine is not resumed any more: the task ends,
    cancelled.
    """

    __slots__ = ("_child_tasks", "_coroutine", "_owner")

    def __init__(
        self, coroutine: Coroutine[Any, Any, Any], owner: Driven, child_tasks: ChildTasks | None
    ) -> None:
        self._coroutine = coroutine
        self._owner = owner
        self._child_tasks = child_tasks

    def send(self, value: Any) -> Any:
        if self._killed:
            self._end()
        try:
            return self._coroutine.send(value)
        except StopIteration:
            raise
        except BaseException as error:
            if _ends_the_loop(error):
                raise ExitInTask from error
            raise

    def throw(self, *error: Any) -> Any:
        if self._killed:
            self._end()
        try:
            return self._coroutine.throw(*error)
        except StopIteration:
            raise
        except BaseException as raised:
            if _ends_the_loop(raised):
                raise ExitInTask from raised
            raise

    def close(self) -> None:
        self._coroutine.close()

    def __await__(self) -> Any:
        return self._coroutine.__await__()

    def __getattr__(self, name: str) -> Any:
        """The coroutine's name, frame and the like, for debuggers and whoever else looks into tasks."""
        return getattr(self._coroutine, name)

    @property
    def _killed(self) -> bool:
        halt = self._owner.halt
        return (halt is not None and halt.killed) or (
            self._child_tasks is not None and self._child_tasks.killed
        )

    def _end(self) -> NoReturn:
        self._owner.supervisor.close_killed(self._coroutine, None)
        raise asyncio.CancelledError


def _ends_the_loop(error: BaseException) -> bool:
    try:
        return isinstance(error, SystemExit | KeyboardInterrupt)
    except BaseException:  # its `__class__` is the user's code
        return True
