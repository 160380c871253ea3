"""Starting and stopping a supervisor's children; what to do when one ends is decided in supervision.py."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

from flowstone.actors.exits import Crashed, Exit, Killed, Shutdown, describe
from flowstone.actors.messages import Failure
from flowstone.actors.process import Process, TaskProcess
from flowstone.actors.slot import Census, Slot
from flowstone.actors.tree import ProcessInfo
from flowstone.errors import ActorDown, StartFailed

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from flowstone.actors.child import Child
    from flowstone.actors.keeper import Keeper
    from flowstone.actors.ref import Ref

__all__ = ["Children", "cause", "start_failed"]


class Children:
    """The slots of one supervisor, in start order. Only the supervisor's own task starts and stops them.

    Args:
        keeper: The supervisor's.
        heard: Called when a child that had started ends by itself, or after it was stopped.
    """

    def __init__(self, keeper: Keeper, heard: Callable[[Slot, Process], None]) -> None:
        self.slots: dict[str, Slot] = {}
        self.census = Census()
        self.engaged: Slot | None = None
        """The child that the supervisor waits for just now: it starts or stops."""
        self._keeper = keeper
        self._heard = heard

    def add(self, child: Child[Any], *, dynamic: bool) -> Slot:
        slot = self.slots[child.name] = Slot(child, self.census, dynamic=dynamic)
        return slot

    def remove(self, slot: Slot) -> None:
        slot.become(None)
        if self.slots.get(slot.child.name) is slot:
            del self.slots[slot.child.name]

    async def start(self, slot: Slot) -> BaseException | None:
        """Start a child and wait until it is ready; what went wrong is returned."""
        made = await self._make(slot)
        if made is None:
            slot.become(None, "ignored")
            return None
        process = self._fill(slot, made)
        if isinstance(process, Failure):
            return process.error
        if await self._launch(process, slot):
            if slot.child.restart == "temporary":
                slot.forget_make()
            return None
        slot.become(None)
        return cause(process)

    async def _make(self, slot: Slot) -> object:
        """What `make` returns, awaited if need be, or a Failure."""
        try:
            made: Any = slot.child.make()
        except BaseException as error:
            return Failure(error)
        if not hasattr(made, "__await__"):
            return made
        making = _Making(slot.child.name, self._keeper, made, slot.ref)
        if await self._launch(making, slot):
            return making.result
        slot.become(None)
        return Failure(cause(making))

    def _fill(self, slot: Slot, made: object) -> Process | Failure:
        if isinstance(made, Failure):
            return made
        try:
            if made is slot.previous:
                raise TypeError(
                    f"{slot.child.name}: make() returned the instance that ended; build a fresh one."
                )
            process = slot.fill(made, self._keeper)
        except BaseException as error:
            return Failure(error)
        process.on_exit = partial(self._ended, slot)
        slot.previous = None
        return process

    async def _launch(self, process: Process, slot: Slot) -> bool:
        slot.become(process)
        self.engaged = slot
        process.launch(asyncio.get_running_loop())
        ready = process.initialised or await process.ready()
        self.engaged = None
        return ready

    def _ended(self, slot: Slot, process: Process) -> None:
        if slot.child.on_exit is not None and process.exit is not None:
            self._keeper.call(slot.child.name, slot.child.on_exit, process.exit)
        if process.initialised:
            self._heard(slot, process)

    async def terminate(self, slot: Slot) -> None:
        """Stop a child, if it runs, and wait for its end. A temporary one is gone from the list then."""
        process = slot.process
        slot.become(process)
        if process is not None:
            self.engaged = slot
            process.begin_stop(slot.shutdown)
            ending = process.exit or await process.down()
            self.engaged = None
            self._stopped(slot, ending)
        if slot.child.restart == "temporary":
            self.remove(slot)

    def _stopped(self, slot: Slot, ending: Exit) -> None:
        slot.become(None)
        meant = ending.clean or (isinstance(ending, Killed) and slot.shutdown == "kill")
        if not meant:
            self._keeper.report("shutdown_error", slot.child.name, ending)

    async def terminate_all(self) -> None:
        """Those started dynamically together, then the others in reverse; may be called again."""
        together = [slot for slot in self.slots.values() if slot.dynamic and slot.process is not None]
        for slot in together:
            if slot.process is not None:
                slot.process.begin_stop(slot.shutdown)
        for slot in together:
            await self.terminate(slot)
        for slot in reversed(list(self.slots.values())):
            await self.terminate(slot)

    def hurry(self) -> None:
        """Kill them all."""
        for slot in self.slots.values():
            if slot.process is not None:
                slot.process.begin_stop("kill")


class _Making(TaskProcess):
    """An asynchronous `make()` under way: user code, so it can be stopped like any other."""

    kind: ClassVar[str] = "make"

    def __init__(self, name: str, keeper: Keeper, making: Awaitable[Any], ref: Ref[Any]) -> None:
        super().__init__(name, keeper, None, ref)
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
