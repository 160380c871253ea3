"""Which tasks user code has started, and for whom: the loop's task factory notes it.

A task that user code creates inherits the context of its creator, and with it `OWNER`. The factory reads that once,
when the task is made, so that the end of one owner costs what that owner has left behind and no more. Rejected:
looking for it among all tasks of the loop, which made each crash cost what the whole application does at that
moment. That search is left as the net below: at the end of a tree, and where somebody has replaced the factory.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Self
from weakref import ref

from flowstone.actors.spawn import OWNER

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from flowstone.actors.spawn import Driven

__all__ = ["Offspring", "OffspringFactory", "TaskFactory", "note", "offspring_of"]

_FEW = 16


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


class OffspringFactory(TaskFactory):
    """Notes with each process of the trees on one loop which tasks it has started."""

    def __call__(self, loop: asyncio.AbstractEventLoop, coroutine: Any, **options: Any) -> Any:
        if self.before is None:
            task = asyncio.Task(coroutine, loop=loop, **options)
        else:
            task = self.before(loop, coroutine, **options)
        context = options.get("context")
        owner = OWNER.get() if context is None else context.get(OWNER)
        # Of another loop it is where a thread has inherited the context.
        if owner is not None and owner.keeper.loop is loop:
            note(owner, task)
        return task


class Offspring:
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


def note(owner: Driven, task: asyncio.Task[Any]) -> None:
    """This task runs for that owner."""
    if owner.offspring is None:
        owner.offspring = Offspring()
    owner.offspring.add(task)


def offspring_of(owners: Iterable[Driven]) -> dict[Driven, list[asyncio.Task[Any]]]:
    """The unfinished tasks of these owners, by name; the owner's own, where it still runs, is among them."""
    return {owner: sorted(set(_tasks_of(owner)), key=lambda task: task.get_name()) for owner in owners}


def _tasks_of(owner: Driven) -> Iterator[asyncio.Task[Any]]:
    if owner.offspring is not None:
        yield from owner.offspring.living()
    if owner.task is not None and not owner.task.done():
        yield owner.task
