"""Runs that somebody left unfinished: adopt them and go on, or close them as lost.

The store of this process may hold runs whose owner died. A runtime that is a worker adopts those of its
own pipelines: same path as a new run, after a replay. One that is not (a single command on the command line)
must not start yesterday's backfill behind the user's back, and must not leave it `running` for ever either: with
a store that only one process can hold the owner is certainly dead, so such runs are closed, their attempts in
flight as failed with the kind `lost`. Where several nodes share a store, `adoption.py` stands in this one's place.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from flowstone.backoff import Backoff
from flowstone.errors import FlowstoneError, StoreUnavailable
from flowstone.runs.records import Status
from flowstone.runtime.run.closing import close_run
from flowstone.runtime.run.live_run import LiveRun
from flowstone.runtime.run.takeover import plan_or_close

if TYPE_CHECKING:
    from collections.abc import Callable

    from flowstone.runs.records import RunRecord
    from flowstone.runtime.context import RuntimeContext
    from flowstone.runtime.run.local_runs import LocalRuns

__all__ = ["Recovery"]

_PAGE = 1000
_FIRST_PAUSE = 1.0
_LONGEST_PAUSE = 30.0
_OPEN = (Status.QUEUED, Status.RUNNING, Status.WAITING)


class Recovery:
    """Looks for orphans when the runtime starts, and goes on with its own runs after a restart above it.

    Args:
        ctx: What the runtime offers.
        runs: Where adopted runs are driven.
        adopt: Whether to go on with them; otherwise they are closed.
    """

    def __init__(self, ctx: RuntimeContext, runs: LocalRuns, *, adopt: bool) -> None:
        self._ctx = ctx
        self._runs = runs
        self._adopt = adopt

    async def run(self, started: Callable[[], None]) -> None:
        started()
        await self._runs.resume_interrupted()
        backoff = Backoff(_FIRST_PAUSE, _LONGEST_PAUSE, self._ctx.random)
        while not await self._look():
            await self._ctx.clock.sleep(backoff.pause())
        await asyncio.get_running_loop().create_future()

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
            await (self._resume(record) if self._adopt else close_run(self._ctx, record))
        except StoreUnavailable:
            raise
        except FlowstoneError as error:
            self._ctx.alarms.set(f"run {record.id}", f"it could not be recovered: {error}")

    async def _resume(self, record: RunRecord) -> None:
        snapshot = self._ctx.snapshot
        if record.request.asset in snapshot.graph or record.pipeline in snapshot.names:
            plan = await plan_or_close(self._ctx, record)
            if plan is not None:
                await self._runs.drive(LiveRun(record, plan, fresh=False))
