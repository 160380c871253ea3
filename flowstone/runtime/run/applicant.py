"""An attempt as `Admission` sees it: what it needs to begin, and what becomes of it if it cannot have that."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Literal

from flowstone.runs.records import Failure

if TYPE_CHECKING:
    from collections.abc import Callable

    from flowstone.actors import TaskHandle
    from flowstone.runs.queued_step import WaitsFor
    from flowstone.runtime.services.admission import Places

__all__ = ["StepApplicant"]


class StepApplicant(ABC):
    """What an attempt is for `Admission`.

    Attributes:
        admitted: Whether it counts against `max_concurrency`: not while it waits for runs of its own.
        pools, pooled: The slots of pools it takes while it runs, and whether it holds them.
        rate, rated: The rate it keeps to when it starts, and whether it has its turn and has not started.
        priority: That of its run.
        exclusive: Whether no other step of this process may run beside it.
        places: Where it asks for a place before it starts, because it has given its own to another step.
        on_place: Called when there is one.
        keeps_place: Whether it has such a place, and keeps it whatever it waits for.
        refusal: Why its function is not called, if it is not.
    """

    # The class's until they change: what most attempts never have takes no time of theirs.
    handle: TaskHandle | None = None
    admitted = False
    pools: tuple[tuple[str, int], ...] = ()
    rate: str | None = None
    pooled = rated = False
    priority = 0
    exclusive: bool
    refusal: Failure | None = None
    places: Places | None = None
    on_place: Callable[[], None] | None = None
    keeps_place = False

    @property
    def in_queue(self) -> bool:
        """Whether it waits for slots of pools or a turn of a rate, and holds no slot of the runtime."""
        return not self.admitted and self.waits_for[0] in ("pool", "rate")

    @property
    def waits_for(self) -> tuple[WaitsFor | None, tuple[str, ...]]:
        """What it waits for before it begins, and of what name; nothing if it has begun."""
        if self.handle is not None:
            return None, ()
        if self.on_place is not None:
            return "place", ()
        if self.pools and not self.pooled:
            return "pool", tuple(name for name, _ in self.pools)
        if self.rate is not None and (self.admitted or not self.rated):
            return "rate", (self.rate,)
        return "alone" if self.exclusive else "slot", ()

    @abstractmethod
    def stop(self, why: Literal["cancelled", "timeout", "shutdown"]) -> None:
        """Begin to stop it."""

    def slots_lost(self) -> None:
        """Somebody else may hold its slots of pools by now: make the attempt again when there are some."""
        if self.handle is not None:
            self.stop("shutdown")

    def slots_refused(self, why: str) -> None:
        """It would wait for slots of pools for ever: let it begin without, and fail."""
        self.pools, self.refusal = (), Failure("error", why)
