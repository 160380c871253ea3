"""A supervisor's children: where each stands, how it is started and stopped.

Entry       one child: its specification, its stable reference, what runs there, when and why it was restarted
Children    all of a supervisor, in start order: made, started, stopped
errors      what a start that failed, or a request that cannot be met, is told

What to do when one ends is decided in supervision.py.
"""

from __future__ import annotations

import asyncio
import math
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Final, Literal, TypeAlias

from flowstone.actors.actor import Actor, ActorProcess
from flowstone.actors.child import Child, shutdown_time, without_make
from flowstone.actors.exits import Crashed, Exit, Killed, Shutdown, describe
from flowstone.actors.messages import Failure
from flowstone.actors.process import Process, Runnable, RunnableProcess, Supervised, TaskProcess
from flowstone.actors.ref import Ref
from flowstone.actors.tree import ProcessInfo
from flowstone.errors import ActorDown, StartFailed

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from datetime import datetime

    from flowstone.actors.spawn import ShutdownTime
    from flowstone.actors.supervisor_context import SupervisorContext

__all__ = ["Children", "Entry", "cause", "start_failed"]

_REMEMBERED: Final = 20  # Restarts of a child of which it is known when they were.

Between: TypeAlias = Literal["stopped", "restarting", "ignored"]


class _ChildCounts:
    """How many children of a supervisor run or are being restarted, so that nobody has to count them.

    Attributes:
        significant: The significant ones.
        dynamic: Those started with `start_child`.
    """

    __slots__ = ("dynamic", "significant")

    def __init__(self) -> None:
        self.significant = 0
        self.dynamic = 0


class Entry:
    """One child of a supervisor: specification, stable reference, and the incarnation that runs, if any."""

    __slots__ = (
        "_counts",
        "between",
        "child",
        "dynamic",
        "kind",
        "previous",
        "process",
        "ref",
        "restart_times",
        "restarted",
        "restarts",
    )

    def __init__(self, child: Child[Any], counts: _ChildCounts, *, dynamic: bool) -> None:
        self.child = child
        self.dynamic = dynamic
        self._counts = counts
        self.ref: Ref[Any] = Ref(child.name)
        self.process: Process | None = None
        self.between: Between = "stopped"
        self.previous: object = None
        """The instance that ended, while its place is filled again: `make` must not return it once more."""
        self.restarts = 0
        self.restarted: tuple[datetime, str] | None = None
        """When it was restarted last, and why it had to be; empty where that was for another one's sake."""
        self.restart_times: tuple[datetime, ...] = ()
        """When its last restarts were, the oldest first."""
        self.kind = "actor"

    @property
    def active(self) -> bool:
        """Whether it runs or is being restarted."""
        return self.process is not None or self.between == "restarting"

    def become(self, process: Process | None, between: Between = "stopped") -> None:
        """What runs here from now on; if nothing does, in which state that is."""
        before = self.active
        self.process, self.between = process, between
        after = process is not None or between == "restarting"
        if after is not before:
            change = 1 if after else -1
            self._counts.significant += change * self.child.significant
            self._counts.dynamic += change * self.dynamic

    def note_restart(self, at: datetime, why: str) -> None:
        """It was restarted; why it had to be is empty where that was for another one's sake."""
        self.restarts += self.process is not None
        self.restarted = at, why
        self.restart_times = (*self.restart_times[1 - _REMEMBERED :], at)

    def forget_make(self) -> None:
        """A temporary child runs: nobody will make another, so what `make` holds may go."""
        self.child = without_make(self.child)

    @property
    def shutdown(self) -> ShutdownTime:
        return shutdown_time(self.child, math.inf if self.kind in {"supervisor", "tasks"} else 5.0)

    def fill(self, made: object, supervisor: SupervisorContext) -> Process:
        """Make the process for what `make` returned. Raises TypeError for what cannot be supervised."""
        process = self._process(made, supervisor)
        self.become(process)
        self.kind = process.kind
        self.ref._attach(process)
        return process

    def _process(self, made: object, supervisor: SupervisorContext) -> Process:
        child = self.child
        match made:
            case Actor():
                return ActorProcess(
                    child.name,
                    supervisor,
                    made,
                    self.ref,
                    bound=child.mailbox,
                    shutdown=shutdown_time(child, 5.0),
                )
            case Supervised():
                return made._as_child(child.name, supervisor)
            case Runnable():
                return RunnableProcess(child.name, supervisor, made)
            case _:
                raise TypeError(self._wrong(made))

    def _wrong(self, made: object) -> str:
        return (
            f"{self.child.name}: make() returned {type(made).__name__}; it must return an Actor, a Supervisor, "
            f"a TaskSupervisor, a Runnable (async def run(self, started)) or None."
        )

    def info(self) -> ProcessInfo:
        if self.process is not None:
            info = self.process.info(self.restarts)
        else:
            info = ProcessInfo(self.child.name, self.kind, self.between, self.restarts)
        if self.restarted is None:
            return info
        at, why = self.restarted
        return replace(info, restarted_at=at, crash=why, restart_times=self.restart_times)


class Children:
    """The entries of one supervisor, in start order. Only the supervisor's own task starts and stops them.

    Args:
        own: The supervisor's context.
        heard: Called when a child that had started ends by itself, or after it was stopped.
    """

    def __init__(self, own: SupervisorContext, heard: Callable[[Entry, Process], None]) -> None:
        self.entries: dict[str, Entry] = {}
        self.counts = _ChildCounts()
        self.engaged: Entry | None = None
        """The child that the supervisor waits for just now: it starts or stops."""
        self._own = own
        self._heard: Callable[[Entry, Process], None] | None = heard

    def add(self, child: Child[Any], *, dynamic: bool) -> Entry:
        entry = self.entries[child.name] = Entry(child, self.counts, dynamic=dynamic)
        return entry

    def remove(self, entry: Entry) -> None:
        entry.become(None)
        if self.entries.get(entry.child.name) is entry:
            del self.entries[entry.child.name]

    async def start(self, entry: Entry) -> BaseException | None:
        """Start a child and wait until it is ready; what went wrong is returned."""
        made = await self._make(entry)
        if made is None:
            entry.become(None, "ignored")
            return None
        process = self._fill(entry, made)
        if isinstance(process, Failure):
            return process.error
        if await self._launch(process, entry):
            if entry.child.restart == "temporary":
                entry.forget_make()
            return None
        entry.become(None)
        return cause(process)

    async def _make(self, entry: Entry) -> object:
        """What `make` returns, awaited if need be, or a Failure."""
        try:
            made: Any = entry.child.make()
        except BaseException as error:
            return Failure(error)
        if not hasattr(made, "__await__"):
            return made
        making = _Making(entry.child.name, self._own, made)
        entry.become(making)
        if await self._launch(making, entry):
            return making.result
        entry.become(None)
        return Failure(cause(making))

    def _fill(self, entry: Entry, made: object) -> Process | Failure:
        if isinstance(made, Failure):
            return made
        try:
            if made is entry.previous:
                raise TypeError(
                    f"{entry.child.name}: make() returned the instance that ended; build a fresh one."
                )
            process = entry.fill(made, self._own)
        except BaseException as error:
            return Failure(error)
        process.on_exit = partial(self._ended, entry)
        entry.previous = None
        return process

    async def _launch(self, process: Process, entry: Entry) -> bool:
        self.engaged = entry
        process.launch(asyncio.get_running_loop())
        ready = process.initialised or await process.ready()
        self.engaged = None
        return ready

    def _ended(self, entry: Entry, process: Process) -> None:
        if entry.child.on_exit is not None and process.exit is not None:
            self._own.call(entry.child.name, entry.child.on_exit, process.exit)
        if process.initialised and self._heard is not None:
            self._heard(entry, process)

    async def terminate(self, entry: Entry) -> None:
        """Stop a child, if it runs, and wait for its end. A temporary one is gone from the list then."""
        process = entry.process
        entry.become(process)
        if process is not None:
            self.engaged = entry
            process.begin_stop(entry.shutdown)
            ending = process.exit or await process.down()
            self.engaged = None
            self._stopped(entry, ending)
        if entry.child.restart == "temporary":
            self.remove(entry)

    def _stopped(self, entry: Entry, ending: Exit) -> None:
        entry.become(None)
        meant = ending.clean or (isinstance(ending, Killed) and entry.shutdown == "kill")
        if not meant:
            self._own.report("shutdown_error", entry.child.name, ending)

    async def terminate_all(self) -> None:
        """Those started dynamically together, then the others in reverse; may be called again."""
        together = [entry for entry in self.entries.values() if entry.dynamic and entry.process is not None]
        for entry in together:
            if entry.process is not None:
                entry.process.begin_stop(entry.shutdown)
        for entry in together:
            await self.terminate(entry)
        for entry in reversed(list(self.entries.values())):
            await self.terminate(entry)

    def close(self) -> None:
        """The supervisor has ended: what becomes of a child that outlives it is reported to nobody."""
        self._heard = None

    def hurry(self) -> None:
        """Kill them all."""
        for entry in self.entries.values():
            if entry.process is not None:
                entry.process.begin_stop("kill")


class _Making(TaskProcess):
    """An asynchronous `make()` under way: user code, so it can be stopped like any other."""

    kind: ClassVar[str] = "make"

    def __init__(self, name: str, supervisor: SupervisorContext, making: Awaitable[Any]) -> None:
        super().__init__(name, supervisor, None)
        self._making = making

    async def _live(self) -> Any:
        made = await self._making
        self._started()
        return made

    def info(self, restarts: int) -> ProcessInfo:
        return ProcessInfo(self.name, self.kind, "starting", restarts)


def cause(process: Process) -> BaseException:
    """The exception behind the end of a process."""
    match process.exit:
        case Crashed(error):
            return error
        case Shutdown(BaseException() as reason):
            return reason
        case ending:
            return ActorDown(f"{process.name} ended ({ending}).", process.name, ending)


def start_failed(slot_name: str, supervisor: str, error: BaseException) -> StartFailed:
    """The error of a failed start, which names the innermost child that failed."""
    name, why = slot_name, error
    if isinstance(error, StartFailed) and error.error is not None:
        name, why = f"{slot_name}.{error.name}", error.error
    failure = StartFailed(f"{supervisor} could not start {name}: {describe(why)}.", name, why)
    failure.__cause__ = why
    return failure
