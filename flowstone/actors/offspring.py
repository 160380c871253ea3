"""Which tasks user code has started, and for whom: an index that the loop's task factory keeps.

A task that user code creates inherits the context of its creator, and with it `OWNER`. The factory reads that once,
when the task is made, so that the end of one owner costs what that owner has left behind and no more. Rejected:
looking for it among all tasks of the loop, which made each crash cost what the whole application does at that
moment. That search is left as the net below: at the end of a tree, and where somebody has replaced the factory.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Self

from flowstone.actors.spawn import OWNER

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from contextvars import Context

    from flowstone.actors.keeper import Keeper
    from flowstone.actors.spawn import Driven

__all__ = ["OffspringIndex", "TaskFactory"]


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

    def __call__(
        self, loop: asyncio.AbstractEventLoop, coroutine: Any, context: Context | None = None, **options: Any
    ) -> Any:
        if context is not None:
            options["context"] = context
        if self.before is None:
            return asyncio.Task(coroutine, loop=loop, **options)
        return self.before(loop, coroutine, **options)


def _row(loop: asyncio.AbstractEventLoop) -> Iterator[TaskFactory]:
    """Our factories on a loop, the one that is asked first first, up to one that is not ours."""
    factory: Any = loop.get_task_factory()
    while isinstance(factory, TaskFactory):
        yield factory
        factory = factory.before


class OffspringIndex(TaskFactory):
    """Knows the unfinished tasks that the processes of the trees on one loop have started."""

    def __init__(self, before: Any) -> None:
        super().__init__(before)
        self._trees: dict[Keeper, dict[Driven, _Offspring]] = {}

    def open(self, root: Keeper) -> None:
        """From now on, remember what the processes of this tree start."""
        self._trees[root] = {}

    def close(self, root: Keeper) -> None:
        """The tree has ended."""
        self._trees.pop(root, None)

    def __call__(
        self, loop: asyncio.AbstractEventLoop, coroutine: Any, context: Context | None = None, **options: Any
    ) -> Any:
        owner = OWNER.get() if context is None else context.get(OWNER)
        task = super().__call__(loop, coroutine, context, **options)
        if owner is not None and not task.done():
            self._add(owner, task)
        return task

    def _add(self, owner: Driven, task: asyncio.Task[Any]) -> None:
        owners = self._trees.get(owner.keeper.root)
        if owners is not None:  # Otherwise its context was copied to another loop, or its tree has ended.
            (owners.get(owner) or _Offspring(owners, owner)).add(task)

    def of(self, owners: Iterable[Driven]) -> dict[Driven, list[asyncio.Task[Any]]]:
        """The unfinished tasks of these owners, by name; their own are among them."""
        return {owner: self._of(owner) for owner in owners}

    def _of(self, owner: Driven) -> list[asyncio.Task[Any]]:
        offspring = self._trees.get(owner.keeper.root, {}).get(owner)
        tasks = set() if offspring is None else set(offspring.tasks)
        if owner.task is not None:
            tasks.add(owner.task)
        return sorted((task for task in tasks if not task.done()), key=lambda task: task.get_name())

    def complete(self, root: Keeper, found: Mapping[Driven, Iterable[asyncio.Task[Any]]]) -> None:
        """Take in what a search has found: somebody may have made tasks past the factory."""
        owners = self._trees[root]
        for owner, tasks in found.items():
            known = owners[owner].tasks if owner in owners else ()
            for task in tasks:
                if task is not owner.task and task not in known:
                    self._add(owner, task)


class _Offspring:
    """The unfinished tasks of one owner; it stands in the index as long as there are any."""

    __slots__ = ("_owner", "_owners", "tasks")

    def __init__(self, owners: dict[Driven, _Offspring], owner: Driven) -> None:
        self._owners = owners
        self._owner = owner
        self.tasks: set[asyncio.Task[Any]] = set()
        owners[owner] = self

    def add(self, task: asyncio.Task[Any]) -> None:
        self.tasks.add(task)
        task.add_done_callback(self._gone)

    def _gone(self, task: asyncio.Task[Any]) -> None:
        self.tasks.discard(task)
        if not self.tasks and self._owners.get(self._owner) is self:
            del self._owners[self._owner]
