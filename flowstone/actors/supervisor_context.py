"""What a supervisor keeps for its children beside their list: clock, reports, leftovers.

* `SupervisorContext`: one per supervisor; what it has of the one above, and what each `Driven` asks of it.
* `_Sweep`: ends the tasks that one owner has left, and abandons by name those that do not end.
* `_close`: closes a killed coroutine. What refuses to be closed is kept for ever: freed, it would run again.
* `_awaiting`, `_generator_of`, `_alive`: which coroutines and generators wait in it, and which of them refused.
"""

from __future__ import annotations

import asyncio
import gc
import math
from contextvars import Context
from types import AsyncGeneratorType
from typing import TYPE_CHECKING, Any

from flowstone.actors.child_tasks import ChildTaskFactory, child_tasks_of, leftovers, note
from flowstone.actors.clock import SystemClock
from flowstone.actors.eager import EagerStarts
from flowstone.actors.exits import Crashed
from flowstone.actors.report import OnReport, Report, log_report
from flowstone.actors.spawn import GRACE, Driven

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator

    from flowstone.actors.clock import Clock, Timer
    from flowstone.actors.exits import Exit
    from flowstone.actors.report import ReportKind

__all__ = ["SupervisorContext"]

_STEPS = {"async_generator_asend", "async_generator_athrow", "anext_awaitable"}
"""What is awaited for the next value of an async generator."""


class SupervisorContext:
    """One per supervisor. It inherits clock and reports from the one above, where none are given."""

    def __init__(
        self,
        name: str,
        above: SupervisorContext | None,
        clock: Clock | None,
        on_report: OnReport | None = None,
    ) -> None:
        self.path: str = name if above is None else f"{above.path}.{name}"
        self.is_root = above is None
        self._root = None if above is None else above.root
        self.clock: Clock = clock or (above.clock if above else SystemClock())
        self.on_report: OnReport = on_report or (above.on_report if above else log_report)
        self.loop: asyncio.AbstractEventLoop = above.loop if above else asyncio.get_running_loop()
        self.eager: EagerStarts = above.eager if above else EagerStarts(self.loop, self.clock.monotonic)
        self.process: Driven | None = None
        """The supervisor's own process; None for one that has none."""
        self._unswept: list[_Sweep] = []
        self._sweeps: dict[Driven, _Sweep] = {}
        self._factory: ChildTaskFactory | None = None
        """At the root, while the tree runs: it notes who starts which tasks."""
        self._given_up: dict[asyncio.Task[Any], SupervisorContext | None] = {}
        """At the root: the abandoned tasks of the tree that still run, and who names them."""
        self._named: dict[asyncio.Task[Any], None] = {}
        """Of these, the ones that this one names."""

    @property
    def root(self) -> SupervisorContext:
        """That of the whole tree."""
        return self if self._root is None else self._root

    def open(self) -> None:
        """At the root: the tree begins."""
        self._factory = ChildTaskFactory.adopt(self.loop)

    def close(self) -> None:
        """At the root: the tree has ended."""
        if self._factory is not None:
            self._factory.release(self.loop)
            self._factory = None

    def report(self, kind: ReportKind, child: str, why: Exit | None = None) -> None:
        """Tell `on_report`; if that raises, the log has both."""
        report = Report(kind, self.path, child, why)
        try:
            self.on_report(report)
        except BaseException as error:
            log_report(report)
            log_report(Report("hook_failed", self.path, "on_report", Crashed(error)))

    def call(self, child: str, hook: Callable[..., object], *arguments: object) -> None:
        """Call a hook from outside, in a clean context; what it raises is reported and goes no further."""
        try:
            Context().run(hook, *arguments)
        except BaseException as error:
            self.report("hook_failed", child, Crashed(error))

    # Leftovers ----------------------------------------------------------------------------------------------

    def sweep(self, owner: Driven, seconds: float, then: Callable[[], None]) -> None:
        """Cancel what `owner` left running, wait up to `seconds` for it, abandon the rest, call `then()`."""
        self._sweeps[owner] = sweep = _Sweep(self, owner, seconds, then)
        self._unswept.append(sweep)
        if len(self._unswept) == 1:
            asyncio.get_running_loop().call_soon(self._look)

    def hurry(self, owner: Driven, seconds: float) -> None:
        """Shorten a sweep that is under way."""
        sweep = self._sweeps.get(owner)
        if sweep is not None:
            sweep.hurry(seconds)

    def _look(self) -> None:
        sweeps, self._unswept = self._unswept, []
        found = self._left_by({sweep.owner for sweep in sweeps})
        for sweep in sweeps:
            tasks = found.get(sweep.owner, ())
            sweep.begin([task for task in tasks if task not in self.root._given_up])

    def _left_by(self, owners: set[Driven]) -> dict[Driven, list[asyncio.Task[Any]]]:
        factory = self.root._factory
        if factory is not None and factory.in_place(self.loop):
            return child_tasks_of(owners)
        return leftovers(owners.__contains__)  # Somebody has replaced the task factory.

    async def sweep_tree(self) -> None:
        """At the end of a tree: stop what tasks and actors that ended politely have left running in it.

        Here every task of the loop is looked at, once: nothing may be left, whoever made it.
        """
        owners = leftovers(lambda owner: owner.supervisor.root is self)
        for owner, tasks in owners.items():
            for task in tasks:
                note(owner, task)  # It may have been made past the factory.
        if not owners:
            return
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        left = len(owners)

        def one_done() -> None:
            nonlocal left
            left -= 1
            if left == 0:
                done.set_result(None)

        for owner in owners:
            self.sweep(owner, GRACE, one_done)
        await done

    def abandon(self, tasks: list[asyncio.Task[Any]], shell: asyncio.Task[Any] | None) -> None:
        """Nothing ends these: say so by name, and stop waiting.

        The `shell` of a killed coroutine, which waits for one of them, runs no code any more: it is not named.
        """
        for task in tasks:
            self.root._given_up[task] = None
            task.add_done_callback(self.root._ended_after_all)
            if task is not shell:
                self._name(task)
                self.report("abandoned", task.get_name())

    def _name(self, task: asyncio.Task[Any]) -> None:
        self.root._given_up[task] = self
        self._named[task] = None

    def _ended_after_all(self, task: asyncio.Task[Any]) -> None:
        named_by = self._given_up.pop(task, None)
        if named_by is not None:
            named_by._named.pop(task, None)

    @property
    def abandoned(self) -> tuple[str, ...]:
        """Names of the abandoned tasks that still run."""
        return tuple(task.get_name() for task in self._named)

    def retire(self) -> None:
        """Its supervisor has ended: what it abandoned is named by the root from now on."""
        if self is not self.root:
            named, self._named = self._named, {}
            for task in named:
                self.root._name(task)

    def close_killed(self, coroutine: Coroutine[Any, Any, Any], context: Context | None) -> None:
        """Close a killed coroutine, and report what it raised."""
        failed = _close(coroutine, context or Context())
        if failed is not None:
            self.report("hook_failed", "cleanup", Crashed(failed))


class _Sweep:
    """The hunt for one owner's leftovers."""

    __slots__ = ("_over", "_then", "_timer", "_until", "context", "owner", "tasks")

    def __init__(
        self, context: SupervisorContext, owner: Driven, seconds: float, then: Callable[[], None]
    ) -> None:
        self.context = context
        self.owner = owner
        self.tasks: set[asyncio.Task[Any]] = set()
        self._then = then
        self._until = context.clock.monotonic() + seconds
        self._timer: Timer | None = None
        self._over = False

    def begin(self, tasks: list[asyncio.Task[Any]]) -> None:
        if not tasks:
            self._end()
            return
        self.tasks = set(tasks)
        self._arm()
        for task in tasks:
            task.add_done_callback(self._gone)
            if task is not self.owner.task:
                task.cancel()

    def hurry(self, seconds: float) -> None:
        self._until = min(self._until, self.context.clock.monotonic() + seconds)
        if self.tasks:
            self._arm()

    def _arm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        left = self._until - self.context.clock.monotonic()
        if left != math.inf:
            self._timer = self.context.clock.call_later(max(0.0, left), self._give_up)

    def _gone(self, task: asyncio.Task[Any]) -> None:
        if not task.cancelled():
            task.exception()  # An orphan's error has nobody to go to; unretrieved, the loop would report it.
        self.tasks.discard(task)
        if self._over or self.tasks:
            return
        self._over = True
        if self._timer is not None:
            self._timer.cancel()
        # It may have started others while it was cancelled: look again before it counts as over.
        self.context.sweep(self.owner, self._until - self.context.clock.monotonic(), self._then)

    def _give_up(self) -> None:
        self._over = True
        shell = self.owner.task if len(self.tasks) > 1 else None  # Alone, it is all there is to name.
        self.context.abandon(sorted(self.tasks, key=lambda task: task.get_name()), shell)
        self._end()

    def _end(self) -> None:
        if self.context._sweeps.get(self.owner) is self:
            del self.context._sweeps[self.owner]
        self._then()


# Killed coroutines ------------------------------------------------------------------------------------------
#
# Python closes a suspended coroutine that it throws away, and one that swallows `GeneratorExit` makes it complain.
# Worse, thrown away when its event loop is gone, every `await` in it fails at once, so that code which swallows
# whatever it meets and tries again runs round and round, at the latest when the interpreter exits, and holds the
# exit. So Python must not throw it away: not even then.


def _close(coroutine: Coroutine[Any, Any, Any], context: Context) -> BaseException | None:
    """Close a killed coroutine, so that its `finally` blocks run as far as they need no await.

    Returns what it raised, unless that is how it refused to be closed. An outer coroutine may hide that an inner
    one refused, so each is looked at.
    """
    chain = list(_awaiting(coroutine))
    failed: BaseException | None = None
    try:
        context.run(coroutine.close)
    except BaseException as error:
        failed = error
    undead = [each for each in chain if _alive(each)]
    for each in undead:
        _keep_for_ever(each)
    return None if undead else failed


def _awaiting(coroutine: Any) -> Iterator[Any]:
    """The coroutine, the one it awaits, and so on; after a step of an async generator, the generator."""
    while coroutine is not None and (
        hasattr(coroutine, "close") or isinstance(coroutine, AsyncGeneratorType)
    ):
        yield coroutine
        if type(coroutine).__name__ in _STEPS:
            coroutine = _generator_of(coroutine)
        else:
            awaited = (getattr(coroutine, name, None) for name in ("cr_await", "gi_yieldfrom", "ag_await"))
            coroutine = next((each for each in awaited if each is not None), None)


def _generator_of(step: object) -> AsyncGeneratorType[Any, Any] | None:
    """The async generator of which this is a step. Only the garbage collector knows it."""
    for each in gc.get_referents(step):
        if isinstance(each, AsyncGeneratorType):
            return each
        if type(each).__name__ in _STEPS:
            return _generator_of(each)
    return None


def _alive(coroutine: Any) -> bool:
    """Whether a coroutine or generator could still be resumed.

    To close a step of an async generator closes the generator from Python 3.13 on, and leaves it as it is before.
    """
    return any(getattr(coroutine, name, None) is not None for name in ("cr_frame", "gi_frame", "ag_frame"))


def _keep_for_ever(thing: object) -> None:
    """A reference that nobody gives back: any list of ours is emptied when the interpreter exits."""
    import ctypes  # noqa: PLC0415 - almost no program ever needs it

    ctypes.pythonapi.Py_IncRef(ctypes.py_object(thing))
