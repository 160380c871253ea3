"""The process that takes runs out of the queue while this node has room for more.

It is woken when somebody submits, when something here has ended while runs may wait, when a run is to be cancelled
that it had left alone, and at every look. What it takes is the most urgent there is; what it does not take, another
node may. Of what stays in the queue it says what it could not run at all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from flowstone.errors import FlowstoneError, StoreUnavailable
from flowstone.runtime.cluster.poller import Poller
from flowstone.runtime.execution.guard import describe
from flowstone.runtime.run.planning import dynamic_keys
from flowstone.runtime.run.takeover import check, take_up, view_for

if TYPE_CHECKING:
    from collections.abc import Callable

    from flowstone.runtime.context import RuntimeContext
    from flowstone.runtime.run.local_runs import LocalRuns
    from flowstone.store.cluster import Cluster, Notification

__all__ = ["QueueConsumer"]

_MOST_AT_ONCE = 32
_MOST_JUDGED = 200  # Runs of the queue that are looked at, the most urgent ones.


class QueueConsumer(Poller):
    """Takes runs of this node's pipelines."""

    kinds = ("queued", "cancel", "look")
    unanswered = "it does not say which runs wait"

    def __init__(self, ctx: RuntimeContext, runs: LocalRuns, cluster: Cluster) -> None:
        super().__init__(ctx)
        self._runs = runs
        self._cluster = cluster
        self._judged_at = float("-inf")
        self._judged: set[str] = set()  # What was left alone then.
        # Whether the queue was not seen empty, so that room that comes free is for somebody.
        self._runs_may_wait = True

    async def run(self, started: Callable[[], None]) -> None:
        self._runs.on_gone[self._has_room] = None
        try:
            await super().run(started)
        finally:
            del self._runs.on_gone[self._has_room]

    def _heard(self, notification: Notification) -> None:
        if notification.kind != "cancel" or self._runs.snoozed.wake(notification.subject):
            super()._heard(notification)

    def _has_room(self) -> None:
        if self._runs_may_wait:
            self._wake()

    async def _poll(self) -> None:
        self._runs_may_wait = True
        while self._runs_may_wait and (room := self._room()) > 0:
            self._runs_may_wait = await self._take(room)
        await self._judge()

    async def _take(self, limit: int) -> bool:
        """Take up to so many; whether there may be more."""
        ctx = self._ctx
        left_alone = self._runs.snoozed.held()
        taken = await self._cluster.take(ctx.node, ctx.snapshot.names, limit, but=left_alone)
        for record in taken:
            try:
                await take_up(ctx, self._runs, self._cluster, record)
            except StoreUnavailable as error:
                self._runs.to_resume[record.id] = error
                raise
            except FlowstoneError as error:
                self._ctx.alarms.set(f"run {record.id}", f"it could not be begun: {error}")
        return len(taken) == limit

    async def _judge(self) -> None:
        """See what of the queue cannot be run here: twice a lease while runs wait, and when one was put back."""
        held = set(self._runs.snoozed.held())
        if not (self._runs_may_wait or held):
            self._runs.unfit = {}
            return
        now = self._ctx.clock.monotonic()
        if held <= self._judged and now - self._judged_at < self._ctx.settings.lease / 2:
            return
        self._judged_at, self._judged = now, held
        self._runs.unfit = await _unfit_runs(self._ctx, self._cluster)

    def _room(self) -> int:
        """For how many runs more there is something to do here: free slots, less the runs that have not begun.

        Runs that wait for something hold no slot, so that what they wait for can be taken; there is a bound on
        all runs even so.
        """
        if not self._runs.open:
            return 0
        admission = self._ctx.admission.statistics()
        beginning = sum(run.state is None for run in self._runs.live.values())
        free = admission.limit - admission.taken - admission.waiting - beginning
        return min(free, 16 + 4 * admission.limit - len(self._runs.live), _MOST_AT_ONCE)


async def _unfit_runs(ctx: RuntimeContext, cluster: Cluster) -> dict[str, str]:
    """The runs in the queue that this node cannot run by its definitions, each with the reason.

    With room for them it would learn that by taking one. While it is full it says so beforehand, for whoever
    wonders what they wait for.

    Raises:
        StoreUnavailable: The store is away.
    """
    waiting = await cluster.queued(ctx.snapshot.names, _MOST_JUDGED)
    if not waiting:
        return {}
    dynamic = await dynamic_keys(ctx)
    unfit = {}
    for record in waiting:
        try:
            check(view_for(ctx, record, dynamic), record)
        except Exception as error:
            unfit[record.id] = describe(error, None).message
    return unfit
