"""The process that stops runs of this node which somebody cancelled on another one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flowstone.errors import StoreUnavailable
from flowstone.runtime.control import Cancel
from flowstone.runtime.notices import Waker

if TYPE_CHECKING:
    from collections.abc import Callable

    from flowstone.runtime.runs import Runs
    from flowstone.runtime.services import Services
    from flowstone.store.cluster import Cluster

__all__ = ["Cancellations"]


class Cancellations:
    """Asks which runs are to be cancelled when told to, and at every look, because notices may be lost."""

    def __init__(self, services: Services, runs: Runs, cluster: Cluster) -> None:
        self._services = services
        self._runs = runs
        self._cluster = cluster
        self._wake = Waker()

    async def run(self, started: Callable[[], None]) -> None:
        started()
        with self._services.notices.on(self._wake, "cancel", "look"):
            while True:
                await self._wake.wait()
                if self._runs.live:
                    await self._look()

    async def _look(self) -> None:
        try:
            asked = await self._cluster.cancelling(self._services.node)
        except StoreUnavailable:
            return
        for run_id in asked:
            run = self._runs.live.get(run_id)
            if run is not None:
                run.ask(Cancel("asked"))
