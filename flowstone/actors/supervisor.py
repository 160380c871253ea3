"""The public face of a supervisor: what it supervises, `async with`, and the requests one can make of it."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Iterable
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar, overload

from flowstone.actors.affinity import require_loop
from flowstone.actors.child import Child, ChildCount, check
from flowstone.actors.exits import Crashed, Exit
from flowstone.actors.process import Process, Supervised
from flowstone.actors.spawn import current
from flowstone.actors.strategy import Rules
from flowstone.actors.supervision import SupervisorProcess
from flowstone.actors.supervisor_context import SupervisorContext
from flowstone.actors.tree import ProcessInfo
from flowstone.errors import ActorDown, CallCycle

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from flowstone.actors.actor import Actor
    from flowstone.actors.clock import Clock
    from flowstone.actors.process import Runnable
    from flowstone.actors.ref import Ref
    from flowstone.actors.report import OnReport
    from flowstone.actors.strategy import AutoShutdown, Strategy

__all__ = ["Supervisor"]

Made = TypeVar("Made", bound="Actor | Supervised | Runnable")


class Supervisor(Supervised):
    """Starts children in order, restarts those that fail, stops them in reverse.

    A tree on its own: `async with Supervisor([...]) as root:`; as a child of another: `Child("x", make)` with
    a `make` that builds it. It runs once: build a fresh one for each start.

    Args:
        children: Started left to right, each ready before the next.
        strategy: Who is restarted when one fails: `one_for_one` that one, `rest_for_one` also those started
            after it, `one_for_all` all.
        max_restarts: It gives up when it restarts more often than this ...
        within: ... in so many seconds.
        max_children: How many children started with `start_child` may be there at a time, those that are being
            restarted included; None for any number. The children given here do not count.
        auto_shutdown: Whether it ends when a significant child ended and is not restarted: `never`,
            `any_significant`, or `all_significant` (the last of them).
        name: For a tree on its own; a child has its child's name.
        clock: Default: that of the supervisor above, else the system's.
        on_report: Called with a `Report` for crashes, late shutdowns and abandoned tasks; default: that of
            the supervisor above, else the log `flowstone.actors`.

    Raises:
        TypeError: One of the children is no `Child`.
        ValueError: Two children of one name, options that contradict each other, or a limit that is none (nan).
    """

    def __init__(
        self,
        children: Iterable[Child[Any]] = (),
        *,
        strategy: Strategy = "one_for_one",
        max_restarts: int = 3,
        within: float = 5.0,
        max_children: int | None = None,
        auto_shutdown: AutoShutdown = "never",
        name: str = "root",
        clock: Clock | None = None,
        on_report: OnReport | None = None,
    ) -> None:
        if not isinstance(children, Iterable):
            raise TypeError(f"A supervisor's children are a list of Child(name, make), not {children!r}.")
        self.name = name
        self.clock = clock
        self.on_report = on_report
        self.rules = Rules(strategy, max_restarts, within, max_children, auto_shutdown)
        self._specs = _checked(children, auto_shutdown)
        self._process: SupervisorProcess | None = None
        self._host: asyncio.Task[Any] | None = None
        self._cancels = 0
        self._interrupted = False

    # Children -----------------------------------------------------------------------------------------------

    async def start_child(self, child: Child[Made]) -> Ref[Made]:
        """Start one more child and wait until it is ready.

        Children started here are supervised like the others and stop together when the supervisor stops.

        Raises:
            StartFailed: It could not be started; it is forgotten.
            ChildError: There is a child of that name: it runs (`already_started`), or does not, or is being
                restarted (`already_present`). Or there are `max_children` already.
            TypeError: It is no `Child`.
            ActorDown: The supervisor is not running.
            CallCycle: The caller is itself being started or stopped by this supervisor.
            WrongLoop: The tree lives on another event loop than the caller.
        """
        check(child, self.rules.auto_shutdown)
        process = self._running()
        ref: Ref[Made] = await process.ask(partial(process.start_child, child))
        return ref

    async def stop_child(self, name: str) -> None:
        """Stop a child and keep its specification (a temporary one is forgotten). OTP's terminate_child.

        Raises:
            ChildError: `not_found`.
        """
        process = self._running(stops=name)
        await process.ask(partial(process.stop_child, name))

    async def restart_child(self, name: str) -> Ref[Any]:
        """Start a child that was stopped, ended, or was not needed.

        Raises:
            StartFailed: It could not be started; it stays stopped.
            ChildError: `not_found`, `running`, `restarting`, or `max_children`.
        """
        process = self._running()
        ref: Ref[Any] = await process.ask(partial(process.restart_child, name))
        return ref

    async def delete_child(self, name: str) -> None:
        """Forget a child that does not run.

        Raises:
            ChildError: `not_found`, `running` or `restarting`.
        """
        process = self._running()
        await process.ask(partial(process.delete_child, name))

    @overload
    def child(self, name: str) -> Ref[Any]: ...

    @overload
    def child(self, name: str, kind: type[Made]) -> Ref[Made]: ...

    def child(self, name: str, kind: type[Any] | None = None) -> Ref[Any]:  # noqa: ARG002 - for type checkers
        """The reference to a child; `kind`, its class, only tells type checkers what it refers to.

        Raises:
            ChildError: `not_found`.
            ActorDown: The supervisor has not been started.
        """
        return self._started().entry(name).ref

    def count_children(self) -> ChildCount:
        """How many children there are, and of what sort."""
        entries = () if self._process is None else tuple(self._process.children.entries.values())
        supervisors = sum(entry.kind in {"supervisor", "tasks"} for entry in entries)
        return ChildCount(
            specs=len(entries),
            active=sum(entry.process is not None for entry in entries),
            supervisors=supervisors,
            workers=len(entries) - supervisors,
        )

    def tree(self) -> ProcessInfo:
        """The tree at this instant; its `repr` is a drawing."""
        if self._process is None:
            return ProcessInfo(self.name, "supervisor", "stopped", detail=self.rules.strategy)
        return self._process.info(0)

    async def down(self) -> Exit:
        """Wait until it has ended, and say how."""
        return await self._started().down()

    def _started(self) -> SupervisorProcess:
        if self._process is None:
            raise ActorDown(
                f"{self.name} has not been started: use `async with`, or make it a child.", self.name
            )
        return self._process

    def _running(self, stops: str | None = None) -> SupervisorProcess:
        """The process, unless it would wait for the very caller that asks."""
        process = self._started()
        require_loop(process.own.loop, self.name)
        children = process.children
        entries = (children.engaged, None if stops is None else children.entries.get(stops))
        waits_for = {entry.process for entry in entries if entry is not None and entry.process is not None}
        caller: Any = current()
        while caller is not None and isinstance(caller, Process):
            if caller in waits_for:
                names = (self.name, caller.name, self.name)
                raise CallCycle(
                    f"{self.name} waits for {caller.name}, which asks it for something. "
                    f"Ask after the start or from another task; to stop yourself, use me.stop().",
                    names,
                )
            above: Any = caller.supervisor.process
            caller = above if above is not caller else None
        return process

    # A tree on its own --------------------------------------------------------------------------------------

    async def __aenter__(self) -> Self:
        process = self._as_child(self.name, None)
        self._host = asyncio.current_task()
        self._cancels = self._host.cancelling() if self._host else 0
        process.launch(asyncio.get_running_loop())
        try:
            ready = await process.ready()
        except asyncio.CancelledError:
            await self._stop()
            raise
        if not ready:
            ending = process.exit
            raise ending.error if isinstance(ending, Crashed) else process._down()
        process.on_exit = self._over
        return self

    def _over(self, _: Process) -> None:
        """It ended while the body runs: gave up, or by auto-shutdown."""
        if self._host is not None:
            self._interrupted = self._host.cancel()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        process = self._started()
        process.on_exit = None
        cancelled = await self._stop() or isinstance(error, asyncio.CancelledError)
        if self._interrupted and self._host is not None:
            # Take back our own cancel of the host, and see whether there were others.
            cancelled = self._host.uncancel() > self._cancels
        if cancelled and not isinstance(error, asyncio.CancelledError):
            raise asyncio.CancelledError
        if not cancelled:
            if process.gave_up is not None:
                raise process.gave_up
            if isinstance(process.exit, Crashed):
                raise process.exit.error
        return self._interrupted and not cancelled and isinstance(error, asyncio.CancelledError)

    async def _stop(self) -> bool:
        """Stop politely, however often the host is cancelled meanwhile, for the children have bounds; was it?

        The count of its cancels does not tell: a task group in the body leaves its own there (before Python 3.13).
        """
        process = self._started()
        process.begin_stop(math.inf)
        cancelled = False
        while process.exit is None:
            try:
                await process.down()
            except asyncio.CancelledError:
                cancelled = True
        return cancelled

    # A child of another -------------------------------------------------------------------------------------

    def _as_child(self, name: str, above: SupervisorContext | None) -> SupervisorProcess:
        if self._process is not None:
            raise RuntimeError(f"{name}: a Supervisor runs once; build a fresh one for each start.")
        self.name = name
        own = SupervisorContext(name, above, self.clock, self.on_report)
        specs, self._specs = self._specs, ()  # What a child's `make` holds may go once the child needs none.
        self._process = SupervisorProcess(name, above or own, self, own, specs, self.rules)
        return self._process


def _checked(children: Iterable[Child[Any]], auto_shutdown: AutoShutdown) -> tuple[Child[Any], ...]:
    specs = tuple(children)
    seen: set[str] = set()
    for child in specs:
        check(child, auto_shutdown)
        if child.name in seen:
            raise ValueError(f"Two children are called {child.name}: names are unique in a supervisor.")
        seen.add(child.name)
    return specs
