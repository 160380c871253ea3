"""A place in a supervisor's list of children: what should be there, and what is."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from flowstone.actors.actor import Actor, ActorProcess
from flowstone.actors.child import Child, shutdown_time, without_make
from flowstone.actors.process import Supervised
from flowstone.actors.ref import Ref
from flowstone.actors.runnable import Runnable, RunnableProcess
from flowstone.actors.tree import ProcessInfo

if TYPE_CHECKING:
    from flowstone.actors.keeper import Keeper
    from flowstone.actors.process import Process
    from flowstone.actors.spawn import ShutdownTime

__all__ = ["Census", "Slot"]

Between: TypeAlias = Literal["stopped", "restarting", "ignored"]


class Census:
    """How many children of a supervisor run or are being restarted, so that nobody has to count them.

    Attributes:
        significant: The significant ones.
        dynamic: Those started with `start_child`.
    """

    __slots__ = ("dynamic", "significant")

    def __init__(self) -> None:
        self.significant = 0
        self.dynamic = 0


class Slot:
    """One child: specification, stable reference, and the incarnation that runs, if any."""

    __slots__ = (
        "_census",
        "between",
        "child",
        "dynamic",
        "kind",
        "previous",
        "process",
        "ref",
        "restarts",
    )

    def __init__(self, child: Child[Any], census: Census, *, dynamic: bool) -> None:
        self.child = child
        self.dynamic = dynamic
        self._census = census
        self.ref: Ref[Any] = Ref(child.name)
        self.process: Process | None = None
        self.between: Between = "stopped"
        self.previous: object = None
        """The instance that ended, while its place is filled again: `make` must not return it once more."""
        self.restarts = 0
        self.kind = "actor"

    @property
    def active(self) -> bool:
        """Whether it runs or is being restarted."""
        return self.process is not None or self.between == "restarting"

    def become(self, process: Process | None, between: Between = "stopped") -> None:
        """What runs here from now on; if nothing does, in which state that is."""
        counted = self.dynamic or self.child.significant
        before = counted and self.active
        self.process, self.between = process, between
        if counted and self.active is not before:
            change = -1 if before else 1
            self._census.significant += change * self.child.significant
            self._census.dynamic += change * self.dynamic

    def forget_make(self) -> None:
        """A temporary child runs: nobody will make another, so what `make` holds may go."""
        self.child = without_make(self.child)

    @property
    def shutdown(self) -> ShutdownTime:
        return shutdown_time(self.child, math.inf if self.kind in {"supervisor", "tasks"} else 5.0)

    def fill(self, made: object, keeper: Keeper) -> Process:
        """Make the process for what `make` returned. Raises TypeError for what cannot be supervised."""
        process = self._process(made, keeper)
        self.become(process)
        self.kind = process.kind
        self.ref._attach(process)
        return process

    def _process(self, made: object, keeper: Keeper) -> Process:
        child = self.child
        match made:
            case Actor():
                return ActorProcess(
                    child.name,
                    keeper,
                    made,
                    self.ref,
                    bound=child.mailbox,
                    shutdown=shutdown_time(child, 5.0),
                )
            case Supervised():
                return made._as_child(child.name, keeper, self.ref)
            case Runnable():
                return RunnableProcess(child.name, keeper, made, self.ref)
            case _:
                raise TypeError(self._wrong(made))

    def _wrong(self, made: object) -> str:
        return (
            f"{self.child.name}: make() returned {type(made).__name__}; it must return an Actor, a Supervisor, "
            f"a TaskSupervisor, a Runnable (async def run(self, started)) or None."
        )

    def info(self) -> ProcessInfo:
        if self.process is not None:
            return self.process.info(self.restarts)
        return ProcessInfo(self.child.name, self.kind, self.between, self.restarts)
