"""Which tasks user code has started, and for which owner: the loop's task factory notes it.

A task that user code creates inherits the context of its creator, and with it `OWNER`. The factory reads that once,
when the task is made, so that the end of one owner costs what that owner has left behind and no more. Rejected:
looking for it among all tasks of the loop, which made each crash cost what the whole application does at that
moment. That search is left as the net below: at the end of a tree, and where somebody has replaced the factory.
"""

from __future__ import annotations

import asyncio
import gc
from contextvars import Context
from typing import TYPE_CHECKING, Any, Self

from flowstone.actors.spawn import OWNER, ChildTasks

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from flowstone.actors.spawn import Driven

__all__ = ["ChildTaskFactory", "TaskFactory", "child_tasks_of", "leftovers", "note"]


class TaskFactory:
    """A task factory that makes tasks as the one `before` it did; of each kind a loop has one.

    They stand in a row, each may leave at any time, and the loop gets back what it had before.
    """

    def __init__(self, before: Any) -> None:
        self.before = before
        self._users = 0

    @classmethod
    def adopt(cls, loop: asyncio.AbstractEventLoop) -> Self:
        """The loop's factory of this kind, put in place if need be, until it has been released as often."""
        factory = next((each for each in _row(loop) if type(each) is cls), None)
        if factory is None:
            factory = cls(loop.get_task_factory())
            loop.set_task_factory(factory)
        factory._users += 1
        return factory

    def release(self, loop: asyncio.AbstractEventLoop) -> None:
        """Leave the row once nobody needs this any more; whoever has replaced it meanwhile stays."""
        self._users -= 1
        if self._users > 0:
            return
        if loop.get_task_factory() is self:
            loop.set_task_factory(self.before)
        for factory in _row(loop):
            if factory.before is self:
                factory.before = self.before

    def in_place(self, loop: asyncio.AbstractEventLoop) -> bool:
        """Whether the loop still asks this one, directly or through others of ours."""
        return any(factory is self for factory in _row(loop))

    def __call__(self, loop: asyncio.AbstractEventLoop, coroutine: Any, **options: Any) -> Any:
        if self.before is None:
            return asyncio.Task(coroutine, loop=loop, **options)
        return self.before(loop, coroutine, **options)


def _row(loop: asyncio.AbstractEventLoop) -> Iterator[TaskFactory]:
    """Our factories on a loop, the one that is asked first first, up to one that is not ours."""
    factory: Any = loop.get_task_factory()
    while isinstance(factory, TaskFactory):
        yield factory
        factory = factory.before


class ChildTaskFactory(TaskFactory):
    """Notes with each process of the trees on one loop which tasks it has started."""

    def __call__(self, loop: asyncio.AbstractEventLoop, coroutine: Any, **options: Any) -> Any:
        if self.before is None:
            task = asyncio.Task(coroutine, loop=loop, **options)
        else:
            task = self.before(loop, coroutine, **options)
        context = options.get("context")
        owner = OWNER.get() if context is None else context.get(OWNER)
        # Of another loop it is where a thread has inherited the context.
        if owner is not None and owner.supervisor.loop is loop:
            note(owner, task)
        return task


def note(owner: Driven, task: asyncio.Task[Any]) -> None:
    """This task runs for that owner."""
    if owner.child_tasks is None:
        owner.child_tasks = ChildTasks()
    owner.child_tasks.add(task)


def child_tasks_of(owners: Iterable[Driven]) -> dict[Driven, list[asyncio.Task[Any]]]:
    """The unfinished tasks of these owners, by name; the owner's own, where it still runs, is among them."""
    return {owner: sorted(set(_tasks_of(owner)), key=lambda task: task.get_name()) for owner in owners}


def _tasks_of(owner: Driven) -> Iterator[asyncio.Task[Any]]:
    if owner.child_tasks is not None:
        yield from owner.child_tasks.living()
    if owner.task is not None and not owner.task.done():
        yield owner.task


def leftovers(chosen: Callable[[Driven], bool]) -> dict[Driven, list[asyncio.Task[Any]]]:
    """The unfinished tasks that belong to owners for which `chosen(owner)` is true, by owner.

    It looks at each task of the loop, so it is for the end of a tree: the factory's notes know them before.
    """
    found: dict[Driven, list[asyncio.Task[Any]]] = {}
    running = asyncio.current_task()
    for task in asyncio.all_tasks():
        owner = _owner_of(task)
        if owner is not None and task is not running and chosen(owner):
            found.setdefault(owner, []).append(task)
    for tasks in found.values():
        tasks.sort(key=lambda task: task.get_name())
    return found


def _owner_of(task: asyncio.Task[Any]) -> Driven | None:
    context = _context_of(task)
    return None if context is None else context.get(OWNER)


def _context_of(task: asyncio.Task[Any]) -> Context | None:
    """The task's context. Before Python 3.12 only the garbage collector knows it: a task shows it first."""
    get_context = getattr(task, "get_context", None)
    if get_context is not None:
        found: Context | None = get_context()
        return found
    return next((each for each in gc.get_referents(task) if type(each) is Context), None)
