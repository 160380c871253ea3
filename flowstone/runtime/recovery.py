"""Runs that somebody left unfinished: adopt them and go on, or close them as lost.

The store of this process may hold runs whose owner died. A runtime that is a worker adopts those of its
own pipelines: same path as a new run, after a replay. One that is not (a single command on the command line)
must not start yesterday's backfill behind the user's back, and must not leave it `running` for ever either: with
a store that only one process can hold the owner is certainly dead, so such runs are closed, their attempts in
flight as failed with the kind `lost`.
"""

from __future__ import annotations

import asyncio
import logging
from datetime import datetime
from typing import TYPE_CHECKING

from flowstone.assets.partition_keys import decode_partition
from flowstone.assets.partition_view import PartitionView
from flowstone.errors import FlowstoneError, StoreUnavailable
from flowstone.runs.events import RunFinished, StepFailed, StepRetried, StepStarted
from flowstone.runs.planner import plan_run
from flowstone.runs.records import Failure, Materialization, Status
from flowstone.runtime.dynamic import dynamic_keys
from flowstone.runtime.live_run import LiveRun

if TYPE_CHECKING:
    from collections.abc import Callable

    from flowstone.runs.events import Event
    from flowstone.runs.records import RunRecord
    from flowstone.runtime.runs import Runs
    from flowstone.runtime.services import Services

__all__ = ["Recovery"]

_log = logging.getLogger(__name__)

_PAGE = 1000
_FIRST_DELAY = 1.0
_LONGEST_DELAY = 30.0
_OPEN = (Status.QUEUED, Status.RUNNING, Status.WAITING)


class Recovery:
    """Looks for orphans when the runtime starts, and goes on with its own runs after a restart above it.

    Args:
        services: What the runtime offers.
        runs: Where adopted runs are driven.
        adopt: Whether to go on with them; otherwise they are closed.
    """

    def __init__(self, services: Services, runs: Runs, *, adopt: bool) -> None:
        self._services = services
        self._runs = runs
        self._adopt = adopt

    async def run(self, started: Callable[[], None]) -> None:
        started()
        for run in tuple(self._runs.live.values()):
            if run.interrupted:
                run.interrupted = False
                await self._runs.drive(run)
        delay = _FIRST_DELAY
        while not await self._look():
            await self._services.clock.sleep(delay)
            delay = min(_LONGEST_DELAY, delay * 2)
        await asyncio.get_running_loop().create_future()

    async def _look(self) -> bool:
        """Deal with every orphan there is. False if the store was down; that is weather, and it passes."""
        before: str | None = None
        orphans: list[RunRecord] = []
        try:
            while page := await self._services.store.runs(statuses=_OPEN, limit=_PAGE, before=before):
                before = page[-1].id
                orphans += page
            for record in reversed(orphans):
                if record.id not in self._runs.live and record.owner != self._services.node:
                    await self._recover(record)
        except StoreUnavailable as error:
            _log.warning("The store does not say which runs were left unfinished: %s", error)
            return False
        return True

    async def _recover(self, record: RunRecord) -> None:
        try:
            await (self._resume(record) if self._adopt else self._close(record))
        except StoreUnavailable:
            raise
        except FlowstoneError as error:
            _log.warning("Run %s could not be recovered: %s", record.id, error)

    async def _resume(self, record: RunRecord) -> None:
        graph = self._services.snapshot.graph
        if record.request.asset not in graph:
            return
        as_of = record.request.as_of
        now = record.created_at if as_of is None else datetime.fromisoformat(as_of)
        view = PartitionView(graph, now, await dynamic_keys(self._services))
        await self._runs.drive(LiveRun(record, plan_run(graph, view, record.request), fresh=False))

    async def _close(self, record: RunRecord) -> None:
        store = self._services.store
        record = await store.claim(record.id, self._services.node, epoch=record.epoch)
        now = self._services.clock.now()
        events: list[Event] = [_lost(start, now) for start in await self._in_flight(record.id)]
        events.append(RunFinished(now, record.id, record.request.asset, Status.FAILED))
        await store.write_many(events, record.epoch)

    async def _in_flight(self, run_id: str) -> list[StepStarted]:
        """The attempts that began and have no end on record."""
        open_attempts: dict[tuple[str, str | None], StepStarted] = {}
        after = 0
        while page := await self._services.store.events(run_id, after=after):
            for number, event in page:
                after = number
                if isinstance(event, StepStarted):
                    open_attempts[event.asset, event.partition_key] = event
                elif isinstance(event, StepRetried) or hasattr(event, "materialization"):
                    open_attempts.pop((event.asset, event.partition_key), None)
        return list(open_attempts.values())


def _lost(start: StepStarted, now: datetime) -> StepFailed:
    failure = Failure("lost", "The process that ran this attempt died.", retryable=True)
    record = Materialization(
        start.asset,
        None if start.partition_key is None else decode_partition(start.partition_key),
        start.partition_key,
        start.run_id,
        Status.FAILED,
        start.attempt,
        start.at,
        now,
        failure,
    )
    return StepFailed(now, start.run_id, start.asset, start.partition_key, start.attempt, record)
