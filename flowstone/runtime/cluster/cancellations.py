"""The process that stops runs of this node which somebody cancelled on another one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flowstone.errors import StoreUnavailable
from flowstone.runtime.run.control import Cancel
from flowstone.runtime.services.notifications import Wakeup

if TYPE_CHECKING:
    from collections.abc import Callable

    from flowstone.runtime.context import RuntimeContext
    from flowstone.runtime.run.local_runs import LocalRuns
    from flowstone.store.cluster import Cluster

__all__ = ["Cancellations"]


class Cancellations:
    """Asks which runs are to be cancelled when told to, and at every look, because notices may be lost."""

    def __init__(self, ctx: RuntimeContext, runs: LocalRuns, cluster: Cluster) -> None:
        self._ctx = ctx
        self._runs = runs
        self._cluster = cluster
        self._wake = Wakeup()

    async def run(self, started: Callable[[], None]) -> None:
        started()
        with self._ctx.notifications.on(self._wake, "cancel", "look"):
            while True:
                await self._wake.wait()
                if self._runs.live:
                    await self._look()

    async def _look(self) -> None:
        try:
            asked = await self._cluster.cancelling(self._ctx.node)
        except StoreUnavailable:
            return
        for run_id in asked:
            run = self._runs.live.get(run_id)
            if run is not None:
                run.ask(Cancel("asked"))
