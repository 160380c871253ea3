"""What wakes steps that wait, where several nodes share a store: the keeper of deadlines, and those who are told.

One node keeps the deadlines of all: it has one timer, for the next one, and asks the store for it again once a
lease, because the store's clock may be set. Another one takes that over when this one is gone. Two who do it at a
time, for a moment, do no harm: the store ends each wait once.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from flowstone.runtime.cluster.poller import Poller
from flowstone.runtime.run.control import Look

if TYPE_CHECKING:
    from collections.abc import Callable

    from flowstone.runtime.context import RuntimeContext
    from flowstone.runtime.run.local_runs import LocalRuns
    from flowstone.store.cluster import Cluster, Notification

__all__ = ["Timekeeper", "WakeUps"]

_DUTY = "timekeeper"


class Timekeeper(Poller):
    """Ends waits whose deadline has passed, if that is this node's duty; else watches whose it is."""

    kinds = ("deadline", "nodes", "look")
    unanswered = "it does not say which steps are to be woken"

    def __init__(self, ctx: RuntimeContext, cluster: Cluster) -> None:
        super().__init__(ctx)
        self._cluster = cluster
        self._holder: str | None = None
        self._next: float | None = None

    async def run(self, started: Callable[[], None]) -> None:
        self._wake()
        await super().run(started)

    def _heard(self, notification: Notification) -> None:
        """Its holder has to do only with deadlines, and has a timer; the others, only with the holder."""
        if (notification.kind == "deadline") if self._is_holder() else self._is_vacant():
            self._wake(notification)

    def _is_holder(self) -> bool:
        return self._holder == self._ctx.node

    def _is_vacant(self) -> bool:
        return self._holder is None or self._ctx.peers.gone(self._holder)

    def _patience(self) -> float | None:
        if not self._is_holder():
            return None
        lease = self._ctx.settings.lease
        return lease if self._next is None else min(self._next, lease)

    async def _poll(self) -> None:
        gone = self._holder if self._is_vacant() else None
        self._holder = await self._cluster.take_duty(_DUTY, self._ctx.node, gone)
        if self._is_holder():
            expired = await self._ctx.store.waits.expire(now=self._ctx.clock.now())
            self._next = expired.next


class WakeUps:
    """Tells the runs that live here to look which of their steps were woken: when told so, and at every look."""

    def __init__(self, ctx: RuntimeContext, runs: LocalRuns) -> None:
        self._ctx = ctx
        self._runs = runs

    async def run(self, started: Callable[[], None]) -> None:
        with self._ctx.notifications.on(self._heard, "woken", "look"):
            started()
            await asyncio.get_running_loop().create_future()

    def _heard(self, notification: Notification) -> None:
        if notification.kind == "look":
            for run in tuple(self._runs.live.values()):
                run.ask(Look())
            return
        live = self._runs.live.get(notification.subject)
        if live is not None:
            live.ask(Look())
