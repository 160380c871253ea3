"""Runs that somebody left unfinished: adopt them and go on.

The store of this process may hold runs whose owner died, or has stopped. A runtime with `worker=True` adopts those
of its own pipelines: same path as a new run, after a replay. All others stay as they are, for one that holds their
pipeline. So does every one of them if the runtime is no worker (a single command on the command line), which must
neither start yesterday's backfill behind the user's back nor end it. Where several nodes share a store,
`adoption.py` stands in this one's place.

A run that is parked is no orphan: nobody drives it until a step of it is woken. Then it is gone on with by the same
path. Deadlines wake steps by one timer, for the next one. With `worker=False` it keeps those of its own runs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from flowstone.actors.clock import noticed_within
from flowstone.backoff import Backoff
from flowstone.errors import FlowstoneError, StoreUnavailable
from flowstone.runs.records import Status
from flowstone.runtime.run.control import Look
from flowstone.runtime.run.takeover import is_known, resume
from flowstone.runtime.services.notifications import Wakeup

if TYPE_CHECKING:
    from collections.abc import Callable

    from flowstone.runs.records import RunRecord
    from flowstone.runtime.context import RuntimeContext
    from flowstone.runtime.run.local_runs import LocalRuns
    from flowstone.store.cluster import Notification

__all__ = ["Recovery"]

_PAGE = 1000
_FIRST_PAUSE = 1.0
_LONGEST_PAUSE = 30.0
_OPEN = (Status.QUEUED, Status.RUNNING)


class Recovery:
    """Looks for orphans when the runtime starts, and goes on with its own runs after a restart above it.

    Args:
        ctx: What the runtime offers.
        runs: Where adopted runs are driven.
        adopt: Whether to go on with orphans.
    """

    def __init__(self, ctx: RuntimeContext, runs: LocalRuns, *, adopt: bool) -> None:
        self._ctx = ctx
        self._runs = runs
        self._adopt = adopt
        self._wake = Wakeup()
        self._reloaded = False  # Runs may be known by now that were not.
        self._woken: dict[str, None] = {}  # Runs to be gone on with.

    async def run(self, started: Callable[[], None]) -> None:
        started()
        await self._runs.resume_interrupted()
        backoff = Backoff(_FIRST_PAUSE, _LONGEST_PAUSE, self._ctx.random)
        while self._adopt and not await self._look():
            await self._ctx.clock.sleep(backoff.pause())
        await self._keep_time()

    async def _look(self) -> bool:
        """Deal with every orphan there is. False if the store does not answer at present."""
        before: str | None = None
        orphans: list[RunRecord] = []
        try:
            while page := await self._ctx.store.runs(statuses=_OPEN, limit=_PAGE, before=before):
                before = page[-1].id
                orphans += page
            for record in reversed(orphans):
                if record.id not in self._runs.live and record.owner != self._ctx.node:
                    await self._recover(record)
        except StoreUnavailable as error:
            self._ctx.alarms.set("store", f"it does not say which runs were left unfinished: {error}")
            return False
        self._ctx.alarms.clear("store")
        return True

    async def _recover(self, record: RunRecord) -> None:
        try:
            await resume(self._ctx, self._runs, record)
        except StoreUnavailable:
            raise
        except FlowstoneError as error:
            self._ctx.alarms.set(f"run {record.id}", f"it could not be recovered: {error}")

    # Parked runs --------------------------------------------------------------------------------------------

    async def _keep_time(self) -> None:
        """Wake what waits for an instant, for as long as the runtime lives."""
        with self._ctx.notifications.on(self._heard, "deadline", "woken", "look"):
            while True:
                if self._reloaded:
                    self._reloaded = not await self._look()
                pause = _FIRST_PAUSE if self._reloaded else await self._look_at_waits()
                await self._wake.wait_or(self._ctx.clock, pause)

    def _heard(self, notification: Notification) -> None:
        if notification.kind == "woken":
            parked = self._runs.parked.own
            if parked is None or notification.subject in parked or notification.subject in self._runs.live:
                self._woken[notification.subject] = None
        elif notification.kind == "look":
            self._reloaded = self._adopt
        self._wake()

    async def _look_at_waits(self) -> float | None:
        """Wake what is due, and go on with what was woken; seconds until the next look is due."""
        ctx, runs = self._ctx, self._runs
        if not runs.open:
            return None
        try:
            parked = runs.parked.own
            own = None if parked is None else [*parked, *runs.live]
            expired = await ctx.store.waits.expire(now=ctx.clock.now(), runs=own)
            ctx.learn(expired.woken, denied=True)
            self._woken.update(dict.fromkeys(event.run_id for event in expired.woken))
            for run_id in tuple(self._woken):
                if not await self._go_on(run_id):
                    self._woken[run_id] = None
        except StoreUnavailable as error:
            ctx.alarms.set("store", f"it does not say which steps are to be woken: {error}")
            return _FIRST_PAUSE
        # A clock that was set meanwhile is noticed soon.
        soon = noticed_within(ctx.clock, ctx.settings.lease)
        return None if expired.next is None else min(expired.next, soon)

    async def _go_on(self, run_id: str) -> bool:
        """Go on with a run that was woken; False if that has to wait until its pipeline is there again."""
        alarm = f"run {run_id}"
        # Before it is gone on with: it may be parked, and woken again, before that returns.
        del self._woken[run_id]
        live = self._runs.live.get(run_id)
        if live is not None and not live.parked:
            self._ctx.alarms.clear(alarm, "it goes on")
            live.ask(Look())
            return True
        record = await self._ctx.store.run(run_id)
        if record is None or record.status is not Status.RUNNING or record.owner is not None:
            self._ctx.alarms.clear(alarm, "it is over")
            return True
        if not is_known(self._ctx, record):
            words = f"it was woken, and waits for a pipeline {record.pipeline!r}, which is not there any more"
            self._ctx.alarms.set(alarm, words)
            return False
        self._ctx.alarms.clear(alarm, "it goes on")
        try:
            await resume(self._ctx, self._runs, record)
        except StoreUnavailable:
            raise
        except FlowstoneError as error:
            self._ctx.alarms.set(alarm, f"it could not be gone on with: {error}")
        return True
