"""A supervisor at work. It is the place where an exception becomes a message.

Children run in tasks of their own, each inside a guard, so a crash never escapes: it arrives here as an
event in the inbox. One task takes one event at a time, so a restart, a `start_child` and a shutdown never
interleave. And nothing here waits without an ear for the stop: the child that is being started is stopped
with the supervisor, and a start that fails during a restart is tried again through the inbox.

    _live ─ _start_all      left to right, each ready before the next
          ─ _loop ─ _react  Exited -> restart or not (strategy.py); TryAgain; Ask: start_child and the like
          ─ _stop_all       dynamic children together, then the others in reverse

Every rule is OTP's (supervisor.erl); docs/actors.md lists the few that differ on purpose.
"""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from flowstone.actors.actor import checkpoint
from flowstone.actors.children import Children, Entry, cause, start_failed
from flowstone.actors.exits import Crashed, Exit, Shutdown, describe
from flowstone.actors.messages import Failure
from flowstone.actors.process import Process, TaskProcess
from flowstone.actors.refusals import already_there, no_room, not_found, not_idle
from flowstone.actors.spawn import GRACE
from flowstone.actors.strategy import Intensity, affected, restarts
from flowstone.actors.tree import ProcessInfo
from flowstone.actors.waiters import resolve
from flowstone.errors import ActorDown, SupervisorGaveUp

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from flowstone.actors.child import Child
    from flowstone.actors.ref import Ref
    from flowstone.actors.strategy import Rules
    from flowstone.actors.supervisor_context import SupervisorContext

__all__ = ["SupervisorProcess"]


@dataclass(slots=True, eq=False)
class Exited:
    """A child ended by itself, or was heard of late."""

    entry: Entry
    process: Process
    instance: object


@dataclass(slots=True, eq=False)
class TryAgain:
    """A start failed during a restart."""

    entry: Entry
    error: BaseException


@dataclass(slots=True, eq=False)
class Ask:
    """Somebody wants something done and waits for the answer."""

    action: Callable[[], Awaitable[Any]]
    answer: asyncio.Future[Any]


class SupervisorProcess(TaskProcess):
    """One incarnation of a supervisor."""

    kind: ClassVar[str] = "supervisor"

    def __init__(
        self,
        name: str,
        supervisor: SupervisorContext,
        instance: object,
        own: SupervisorContext,
        specs: Sequence[Child[Any]],
        rules: Rules,
    ) -> None:
        super().__init__(name, supervisor, instance)
        own.process = self
        self.own = own
        self.children = Children(own, self._heard)
        self.gave_up: SupervisorGaveUp | None = None
        self._specs = specs
        self._rules = rules
        self._intensity = Intensity(rules.max_restarts, rules.within)
        self._inbox: deque[Exited | TryAgain | Ask] = deque()
        self._waiter: asyncio.Future[None] | None = None
        self._stopping = False

    # Life ---------------------------------------------------------------------------------------------------

    def launch(self, loop: asyncio.AbstractEventLoop) -> None:
        if self.own.is_root:
            self.own.open()
        super().launch(loop)

    async def _live(self) -> Exit:
        ending: Exit
        try:
            await self._start_all()
            self._started()
            ending = await self._loop()
        except asyncio.CancelledError:
            ending = Shutdown()  # From outside, as when asyncio.run() cleans up: stop like a good citizen.
        except BaseException as error:
            self._let_die()
            ending = Crashed(error)
        self._stopping = True
        self.state = "stopping"
        self._refuse()
        await self._stop_all()
        return ending

    async def _start_all(self) -> None:
        specs, self._specs = self._specs, ()  # It runs once, and what it needs is in the entries.
        entries = [self.children.add(child, dynamic=False) for child in specs]
        del specs
        for entry in entries:
            failed = self._interrupted() if self._stopping else await self.children.start(entry)
            if failed is not None:
                self.own.report("start_failed", entry.child.name, Crashed(failed))
                raise start_failed(entry.child.name, self.name, failed)
            if entry.process is None and entry.child.restart == "temporary":
                self.children.remove(entry)

    def _interrupted(self) -> BaseException:
        return ActorDown(f"{self.name} was stopped while it started.", self.name)

    async def _loop(self) -> Exit:
        while not self._stopping:
            if self._inbox:
                ending = await self._react(self._inbox.popleft())
                if ending is not None:
                    return ending
            else:
                self._waiter = asyncio.get_running_loop().create_future()
                await self._waiter
        return Shutdown()

    async def _react(self, event: Exited | TryAgain | Ask) -> Exit | None:
        match event:
            case Exited(entry, process, instance):
                # Stopped by us in the meantime: its end was dealt with there.
                return await self._exited(entry, process, instance) if entry.process is process else None
            case TryAgain(entry, error):
                await checkpoint()
                return await self._restart(entry, error) if entry.between == "restarting" else None
            case Ask(action, answer):
                if not answer.done():
                    await self._answer(action, answer)
                return None

    async def _answer(self, action: Callable[[], Awaitable[Any]], answer: asyncio.Future[Any]) -> None:
        try:
            resolve(answer, await action())
        except Exception as error:
            resolve(answer, Failure(error))
        finally:
            if not answer.done():
                resolve(answer, Failure(self._down()))  # Cancelled or killed half way.

    async def _stop_all(self) -> None:
        """Stop the children whatever happens to this task meanwhile; each of them has its own bound."""
        while True:
            try:
                await self.children.terminate_all()
                if self.own.is_root:
                    await self.own.sweep_tree()
            except asyncio.CancelledError:
                continue
            return

    def _leave(self, exit: Exit) -> None:  # noqa: A002 - the field's word
        self._refuse()  # Nothing to do but after a kill.
        self.own.retire()
        if self.own.is_root:
            self.own.close()
        super()._leave(exit)
        # What has ended stands in no cycle; it is still asked for its children and its end.
        self.own.process = self.instance = None
        self.children.close()

    # Ends and restarts --------------------------------------------------------------------------------------

    async def _exited(self, entry: Entry, process: Process, instance: object) -> Exit | None:
        how = process.exit
        assert how is not None
        entry.become(None)
        if not how.clean:
            self.own.report("crashed", entry.child.name, how)
        elif entry.child.restart == "permanent":
            self.own.report("ended", entry.child.name, how)
        if restarts(entry.child.restart, how):
            entry.previous = instance
            return await self._restart(entry, cause(process))
        if entry.child.restart == "temporary":
            self.children.remove(entry)
        return self._auto_shutdown(entry)

    def _auto_shutdown(self, ended: Entry) -> Exit | None:
        mode = self._rules.auto_shutdown
        if not ended.child.significant or mode == "never":
            return None
        if mode == "all_significant" and self.children.counts.significant:
            return None
        return Shutdown()

    async def _restart(self, entry: Entry, error: BaseException) -> Exit | None:
        entry.become(None, "restarting")
        entry.restarted = self.own.clock.now(), describe(error)
        if not self._intensity.allows(self.own.clock.monotonic()):
            return self._give_up(entry, error)
        group = affected(self._rules.strategy, self.children.entries.values(), entry)
        for other in group:
            if other is not entry:
                await self.children.terminate(other)
        for each in reversed(group):
            if self._stopping:
                return None
            if self.children.entries.get(each.child.name) is not each:
                continue  # Temporary: gone with the group.
            failed = await self.children.start(each)
            if failed is not None:
                each.become(None, "restarting")
                self.own.report("start_failed", each.child.name, Crashed(failed))
                self._tell(TryAgain(each, failed))
                return None
            each.note_restart(self.own.clock.now(), describe(error) if each is entry else "")
        return None

    def _give_up(self, entry: Entry, error: BaseException) -> Exit:
        limits = f"max_restarts={self._intensity.max_restarts} within={self._intensity.within} s"
        self.gave_up = SupervisorGaveUp(
            f"{self.own.path} gave up: {entry.child.name} failed too often ({limits}); "
            f"last: {describe(error)}.",
            self.name,
            error,
        )
        self.gave_up.__cause__ = error
        self.own.report("gave_up", entry.child.name, Crashed(error))
        self.children.remove(entry)
        return Shutdown(self.gave_up)

    # Requests -----------------------------------------------------------------------------------------------

    async def start_child(self, child: Child[Any]) -> Ref[Any]:
        known = self.children.entries.get(child.name)
        if known is not None:
            raise already_there(self.name, known)
        self._room_for(child.name)
        entry = self.children.add(child, dynamic=True)
        failed = await self.children.start(entry)
        if failed is not None:
            self.children.remove(entry)
            raise start_failed(child.name, self.name, failed)
        if entry.process is None and child.restart == "temporary":
            self.children.remove(entry)
        return entry.ref

    def _room_for(self, name: str) -> None:
        limit = self._rules.max_children
        if limit is not None and self.children.counts.dynamic >= limit:
            raise no_room(self.name, name, limit)

    async def stop_child(self, name: str) -> None:
        await self.children.terminate(self.entry(name))

    async def restart_child(self, name: str) -> Ref[Any]:
        entry = self._idle(name)
        if entry.dynamic:
            self._room_for(name)
        failed = await self.children.start(entry)
        if failed is not None:
            raise start_failed(name, self.name, failed)
        return entry.ref

    async def delete_child(self, name: str) -> None:
        self.children.remove(self._idle(name))

    def entry(self, name: str) -> Entry:
        found = self.children.entries.get(name)
        if found is None:
            raise not_found(self.name, name, self.children.entries)
        return found

    def _idle(self, name: str) -> Entry:
        entry = self.entry(name)
        if entry.active:
            raise not_idle(entry)
        return entry

    async def ask(self, action: Callable[[], Awaitable[Any]]) -> Any:
        """Have the supervisor's task do something and wait for the answer."""
        if self._stopping or self.exit is not None:
            raise self._down()
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._tell(Ask(action, answer))
        reply = await answer
        if type(reply) is Failure and reply.error is not None:
            raise reply.error
        return reply

    def _down(self) -> ActorDown:
        return ActorDown(f"{self.name} is stopping or has stopped.", self.name, self.exit)

    def _refuse(self) -> None:
        for event in self._inbox:
            if isinstance(event, Ask):
                resolve(event.answer, Failure(self._down()))
        self._inbox.clear()

    # The inbox, and the stop --------------------------------------------------------------------------------

    def _heard(self, entry: Entry, process: Process) -> None:
        self._tell(Exited(entry, process, process.instance))

    def _tell(self, event: Exited | TryAgain | Ask) -> None:
        self._inbox.append(event)
        self._wake()

    def _wake(self) -> None:
        waiter, self._waiter = self._waiter, None
        if waiter is not None:
            resolve(waiter, None)

    def _ask(self) -> bool:
        self._stopping = True
        entry = self.children.engaged
        if entry is not None and entry.process is not None and not entry.process.initialised:
            entry.process.begin_stop(entry.shutdown)
        self._wake()
        return True

    def _overdue(self) -> None:
        """Its time is over: kill the children, so that none outlives it, and give it a last moment."""
        if self.halt is not None and not self.halt.overdue:
            self.halt.overdue = True
            self._stopping = True
            self._after(2 * GRACE, super()._kill)
            self.children.hurry()
            self._wake()

    def _kill(self) -> None:
        self._overdue()

    def info(self, restarts: int) -> ProcessInfo:
        return ProcessInfo(
            name=self.name,
            kind=self.kind,
            state=self.state,
            restarts=restarts,
            mailbox_depth=len(self._inbox),
            children=tuple(entry.info() for entry in self.children.entries.values()),
            abandoned=self.own.abandoned,
            detail=self._rules.strategy,
            max_restarts=self._rules.max_restarts,
            within=self._rules.within,
            recent_restarts=self._intensity.recent(self.own.clock.monotonic()),
        )
