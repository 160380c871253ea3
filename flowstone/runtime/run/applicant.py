"""An attempt as `Admission` sees it: what it needs to begin, and what becomes of it if it cannot have that."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Literal

from flowstone.runs.records import Failure

if TYPE_CHECKING:
    from flowstone.actors import TaskHandle

__all__ = ["StepApplicant"]


class StepApplicant(ABC):
    """What an attempt is for `Admission`.

    Attributes:
        admitted: Whether it counts against `max_concurrency`: not while it waits for runs of its own.
        pools, pooled: The slots of pools it takes while it runs, and whether it holds them.
        rate, rated: The rate it keeps to when it starts, and whether it has its turn and has not started.
        priority: That of its run.
        refusal: Why its function is not called, if it is not.
    """

    # The class's until they change: what most attempts never have takes no time of theirs.
    handle: TaskHandle | None = None
    admitted = False
    pools: tuple[tuple[str, int], ...] = ()
    rate: str | None = None
    pooled = rated = False
    priority = 0
    refusal: Failure | None = None

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
