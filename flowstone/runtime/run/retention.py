"""The process that owns the store: retention while the runtime runs, closing it when everything else has stopped.

It is the tree's first child, so it is the last to stop: whatever writes on its way out still finds a store.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from flowstone.backoff import Backoff
from flowstone.counting import count
from flowstone.errors import FlowstoneError, StoreUnavailable
from flowstone.runtime.execution.guard import call_async
from flowstone.runtime.run.values import ITEMS, PAGES

if TYPE_CHECKING:
    from collections.abc import Callable

    from flowstone.runs.records import Materialization
    from flowstone.runtime.context import RuntimeContext

__all__ = ["Retention"]

_PRUNE_INTERVAL = 1.0
_SHARED_INTERVAL = 10.0  # Where several nodes share the store and each of them asks.
_ITEMS_AT_A_TIME = 1_000
_LONGEST_INTERVAL = 60.0  # While the store does not answer.


class Retention:
    """Prunes history and superseded values, and closes the store at the end."""

    def __init__(self, ctx: RuntimeContext) -> None:
        self._ctx = ctx
        self._stopping = False
        self._due = asyncio.Event()
        self._interval = self._usual_interval()
        self._backoff = Backoff(2 * self._interval, _LONGEST_INTERVAL, ctx.random)
        self.problem: str | None = None

    async def run(self, started: Callable[[], None]) -> None:
        started()
        while not self._stopping:
            timer = self._ctx.clock.call_later(self._interval, self._due.set)
            try:
                await self._due.wait()
            finally:
                timer.cancel()
            self._due.clear()
            if not self._stopping:
                await self._prune()
        await self._ctx.store.close()

    def stop(self) -> None:
        """Close the store and return from `run`."""
        self._stopping = True
        self._due.set()

    async def _prune(self) -> None:
        settings, store = self._ctx.settings, self._ctx.store
        try:
            gone = await store.prune(
                keep_versions=settings.keep_versions,
                keep_runs=settings.keep_runs,
                assets=tuple(self._ctx.snapshot.graph.assets),
            )
        except FlowstoneError as error:
            self.problem = f"retention failed: {error}"
            self._ctx.alarms.set("retention", str(error))
            if isinstance(error, StoreUnavailable):
                self._interval = self._backoff.pause()
            return
        self.problem = None
        self._interval = self._usual_interval()
        self._backoff.reset()
        failed = 0
        for record in gone:
            if record.location is not None and not await self._forget(record, record.location):
                failed += 1
        if failed:
            # The records are gone, so nobody will look for these values again: it is only wasted space.
            self._ctx.alarms.set("retention", f"{count(failed, 'superseded value')} could not be deleted")
        else:
            self._ctx.alarms.clear("retention")

    def _usual_interval(self) -> float:
        if self._ctx.store.cluster is None:
            return _PRUNE_INTERVAL
        return _SHARED_INTERVAL * self._ctx.random.uniform(0.5, 1.5)

    async def _forget(self, record: Materialization, location: str) -> bool:
        """Delete a value; one that is made up of items with all of them."""
        if not location.startswith((ITEMS, PAGES)):
            return await self._delete(record.io, location)
        items, step = self._ctx.store.items, (record.asset, record.partition_key)
        after, done = -1, True
        while rows := await items.rows(record.run_id, step, after=after, limit=_ITEMS_AT_A_TIME):
            for row in rows:
                after = row.position
                done = (row.location is None or await self._delete(record.io, row.location)) and done
        await items.forget(record.run_id, step)
        return done

    async def _delete(self, io: str, location: str) -> bool:
        manager = self._ctx.managers.get(io)
        if manager is None:
            return False  # The value of a pipeline that another runtime of this store holds.
        if getattr(manager, "kept_by_store", False):
            return True  # It went with the record.
        ok, _ = await call_async(manager.delete, {"location": location}, None)
        return ok
