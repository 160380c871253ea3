"""Eager starts: a coroutine runs up to its first suspension in the turn of whoever starts it.

Begun the usual way, a task waits for the loop's next turn, even if it then ends without suspending, as most short
tasks do. Begun eagerly it has ended when `start` returns. Two rules keep that from taking too much from others:

* Within one turn of the loop, coroutines are begun for `budget` seconds in all. What is started later begins in the
  next turn, as usual.
* What is started within an eager start, by the coroutine or its `on_exit`, begins in the next turn too: a row of
  tasks of which each starts the next one does not grow the stack.

The coroutine sees no difference: a real task stands for it from the start, `current_task()` is the one that resumes
it later, and its context is its own. Python 3.12 and later have such tasks (`eager_start=True`). Before that, a
`_Begun` makes one: a task is created, made the current one (by functions that asyncio has for libraries with tasks
of their own), and the coroutine's first step is taken. If it suspends, the task's own first step hands to the loop
what the coroutine waits for. If it ended, and nobody can have seen the task, the next coroutine of this turn is
begun in the same one: creating a task is most of the cost.

Those functions are not part of asyncio's public interface before Python 3.12. An interpreter that lacks one of them
begins nothing eagerly (`POSSIBLE`): every coroutine begins in the next turn, in a task as asyncio makes it.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Coroutine, Generator
from contextvars import Context
from sys import getrefcount
from typing import TYPE_CHECKING, Any
from weakref import getweakrefcount

from flowstone.actors.spawn import OWNER, new_context

if TYPE_CHECKING:
    from collections.abc import Callable

    from flowstone.actors.spawn import Driven

__all__ = ["POSSIBLE", "EagerStarts"]

# https://docs.python.org/3/library/asyncio-extending.html
_enter_task: Any = getattr(asyncio.tasks, "_enter_task", None)
_leave_task: Any = getattr(asyncio.tasks, "_leave_task", None)
_current_tasks: Any = getattr(asyncio.tasks, "_current_tasks", None)  # `current_task()` is slower, in Python.

POSSIBLE = sys.version_info >= (3, 12) or None not in (_enter_task, _leave_task, _current_tasks)
"""Whether this interpreter can begin a task in the turn of whoever starts it."""

BUDGET = 0.001

_NEARLY = 0.2  # The part of it that getting a run ready takes, with room to spare.

_NOTHING: Any = object()


class EagerStarts:
    """Begins coroutines at once; one for all the supervisors of a tree.

    Args:
        loop: Whose turns they are.
        monotonic: The tree's clock; under a virtual one a turn takes no time, and its budget is never spent.

    Attributes:
        budget: Seconds of a turn in which it does so.
    """

    __slots__ = ("_begun", "_inside", "_loop", "_monotonic", "_tasks", "_until", "budget")

    def __init__(self, loop: asyncio.AbstractEventLoop, monotonic: Callable[[], float]) -> None:
        self.budget = BUDGET
        self._loop = loop
        self._monotonic = monotonic
        self._until: float | None = None
        self._inside = False
        self._begun: _Begun | None = None
        """One that may be used once more, in this turn."""
        self._tasks: Generator[None, Driven, None] | None = None

    def begin(self, driven: Driven) -> bool:
        """Run it up to its first suspension; False if it was not begun and has to wait for the next turn."""
        if self._inside or not POSSIBLE:
            return False
        now = self._monotonic()
        if self._until is None:
            self._until = now + self.budget
            self._loop.call_soon(self._next_turn)
        elif now >= self._until:
            return False
        self._inside = True
        try:
            if sys.version_info >= (3, 12):
                tasks, self._tasks = self._tasks, None  # One that is left by an exception has ended.
                if tasks is None:
                    tasks = _eager_tasks(self._loop)
                    next(tasks)
                tasks.send(driven)
                self._tasks = tasks
            else:
                begun, self._begun = self._begun or _Begun(self._loop), None
                self._begun = begun if begun.begin(driven, self._loop) else None
        finally:
            self._inside = False
        return True

    @property
    def spent(self) -> bool:
        """Whether nothing more is begun in this turn, or may not be when it has been got ready."""
        return self._until is not None and self._monotonic() >= self._until - self.budget * _NEARLY

    def _next_turn(self) -> None:
        # It was put before the first steps of this turn's tasks, so none that has been resumed is used again.
        self._until = self._begun = None


if sys.version_info >= (3, 12):

    def _eager_tasks(loop: asyncio.AbstractEventLoop) -> Generator[None, Driven, None]:
        """Makes an eager task of each `Driven` that is sent to it.

        What a coroutine raises keeps the frame of its caller here, that of the caller's caller, and so on, although
        they are not in the traceback. One of them knows the task's handle, which knows the error: a cycle. Callers
        of a generator are not kept once it has yielded.
        """
        while True:
            driven = yield
            driven.context = context = new_context(loop)
            context.run(OWNER.set, driven)
            # Its first step notes the task in `driven`: it may be over before this returns.
            asyncio.Task(driven, loop=loop, name=driven.name, context=context, eager_start=True)
            del driven, context


class _Begun(Coroutine[Any, Any, None]):
    """What a task runs whose coroutine has been begun before the task's first step."""

    __slots__ = ("_context", "_driven", "_first", "_task")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._context = Context()
        self._driven: Driven | None = None
        self._first: Any = _NOTHING
        """What the coroutine waits for: the task's first step hands it to the loop."""
        self._task: asyncio.Task[None] | None = asyncio.Task(self, loop=loop, context=self._context)

    def begin(self, driven: Driven, loop: asyncio.AbstractEventLoop) -> bool:
        """Take the first step of `driven`; True if this may be used for another one."""
        task, coroutine = self._task, driven.coroutine
        assert task is not None
        assert coroutine is not None
        references = getrefcount(task)
        task.set_name(driven.name)
        driven.task = task
        driven.context = context = self._context
        context.run(OWNER.set, driven)
        outer = _current_tasks.get(loop)
        if outer is not None:
            _leave_task(loop, outer)
        _enter_task(loop, task)
        result, error = None, None
        self._driven = driven  # Also while it begins: it may look at its own task.
        try:
            self._first = context.run(coroutine.send, None)
        except StopIteration as stop:
            self._driven = None
            result = stop.value
        except BaseException as raised:
            self._driven = None
            error = raised
        finally:
            _leave_task(loop, task)
            if outer is not None:
                _enter_task(loop, outer)
        if self._driven is None:
            driven._finish(result, error)
            if (  # It has left nothing behind: no reference, variable, callback or cancel.
                getrefcount(task) == references
                and getweakrefcount(task) == 1  # That of asyncio, which knows all tasks.
                and len(context) == 1
                and not task.cancelling()
                # A task that does not tell is not used again.
                and not getattr(task, "_must_cancel", True)  # A cancel that was taken back.
                and not getattr(task, "_callbacks", True)
            ):
                return True
        self._task = None  # It refers to this, by way of the loop.
        return False

    def send(self, value: Any) -> Any:
        if self._driven is None:
            self._task = None
            raise StopIteration
        first = self._first
        if first is not _NOTHING:
            # Also if it is None, a bare `sleep(0)`: what the coroutine has started has its turn first.
            self._first = _NOTHING
            return first
        return self._driven.send(value)

    def throw(self, *error: Any) -> Any:
        if self._driven is None:
            self._task = None
            raise StopIteration
        first, self._first = self._first, _NOTHING
        if (
            first is not _NOTHING
            and getattr(first, "_asyncio_future_blocking", None)
            and first.cancel(msg=_message(*error))
        ):
            # Cancelled before the task's first step. What it waits for is, as if it had been waiting already.
            halt = self._driven.halt
            if halt is None or not halt.killed:
                return first
        return self._driven.throw(*error)

    def close(self) -> None:
        if self._driven is not None:
            self._driven.close()

    def __await__(self) -> Any:
        raise RuntimeError("it runs in its own task")

    def __getattr__(self, name: str) -> Any:
        """The coroutine's frame and the like, for `task.get_stack()`, `inspect` and debuggers."""
        if self._driven is None and name.startswith("cr_"):
            return None  # It has ended.
        return getattr(self._driven, name)


def _message(error: object, *_: object) -> Any:
    """What a task was cancelled with: whose cancel it is, for some libraries."""
    arguments = getattr(error, "args", ())
    return arguments[0] if isinstance(error, BaseException) and arguments else None
