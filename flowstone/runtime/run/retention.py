"""The process that owns the store: retention while the runtime runs, closing it when everything else has stopped.

It is the tree's first child, so it is the last to stop: whatever writes on its way out still finds a store.

A superseded value is deleted when its record is gone: whoever dies in between leaves it behind. Of items there may
be thousands, and those of a step that fails never have a record. So what is known of them goes after their values,
a portion at a time, and another process goes on where one has died.

It looks every second, or where several nodes share the store and each of them asks, less often. Where the runtime
is alone with its store, looks that find nothing to do become rare until a run begins or ends.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from flowstone.backoff import Backoff
from flowstone.counting import count
from flowstone.errors import FlowstoneError, StoreUnavailable
from flowstone.runtime.execution.guard import call_async
from flowstone.runtime.run.values import ITEMS, PAGES
from flowstone.store.items import UNKNOWN_IO

if TYPE_CHECKING:
    from collections.abc import Callable

    from flowstone.runs.records import Materialization
    from flowstone.runtime.context import RuntimeContext
    from flowstone.runtime.run.local_runs import LocalRuns
    from flowstone.store.items import ItemSet

__all__ = ["Retention"]

_PRUNE_INTERVAL = 1.0
_SHARED_INTERVAL = 10.0  # Where several nodes share the store and each of them asks.
_RESTING_INTERVAL = 3600.0  # While nothing runs: what is kept for a time is over some time.
_STEPS_AT_A_TIME = 20
_ITEMS_AT_A_TIME = 5_000
_TOGETHER = 32  # Values that are deleted at a time.
_AUDIT_IN_MEMORY = 10_000  # Entries, where it does not outlive the process.
_LONGEST_INTERVAL = 60.0  # While the store does not answer.
_QUIET_INTERVAL = 600.0  # At most, while runs do nothing that leaves anything behind.


class Retention:
    """Prunes history and superseded values, and closes the store at the end.

    Args:
        ctx: What the runtime offers.
        runs: Those that this process drives.
    """

    def __init__(self, ctx: RuntimeContext, runs: LocalRuns) -> None:
        self._ctx = ctx
        self._runs = runs
        self._stopping = False
        self._quiet = 0  # Looks in a row that found nothing to do, since something happened.
        self._resting = False
        self._due = asyncio.Event()
        self._interval = self._usual_interval()
        self._backoff = Backoff(2 * self._interval, _LONGEST_INTERVAL, ctx.random)
        self.problem: str | None = None
        runs.on_change = self._something_happened

    async def run(self, started: Callable[[], None]) -> None:
        started()
        while not self._stopping:
            await self._rest()
            if not self._stopping:
                self._quiet += 1
                if not await self._prune():
                    self._quiet = 0
        await self._ctx.store.close()

    def stop(self) -> None:
        """Close the store and return from `run`."""
        self._stopping = True
        self._due.set()

    async def _rest(self) -> None:
        """Return when it is time to look, or to stop."""
        if self._quiet and self._ctx.store.cluster is None:
            self._resting = True
            await self._wait(self._longer_interval())
            self._resting = False
            if self._quiet or self._stopping:
                return
        await self._wait(self._interval)

    def _longer_interval(self) -> float:
        if not self._runs.live:
            return _RESTING_INTERVAL
        return min(self._interval * 2.0 ** min(self._quiet, 10), _QUIET_INTERVAL)

    def _something_happened(self) -> None:
        """A run has begun or ended."""
        self._quiet = 0
        if self._resting:
            self._due.set()

    async def _wait(self, seconds: float) -> None:
        """So long, or until it is woken."""
        timer = self._ctx.clock.call_later(seconds, self._due.set)
        try:
            await self._due.wait()
        finally:
            timer.cancel()
        self._due.clear()

    async def _prune(self) -> bool:
        """Whether there was nothing to do, and is nothing to do again."""
        settings, store = self._ctx.settings, self._ctx.store
        try:
            gone = await store.prune(
                keep_versions=settings.keep_versions,
                keep_runs=settings.keep_runs,
                assets=tuple(self._ctx.snapshot.graph.assets),
            )
            await store.logs.prune()
            await store.audit.prune(
                settings.keep_audit if store.lasts else min(settings.keep_audit, _AUDIT_IN_MEMORY)
            )
            failed = [await self._forget(record) for record in gone].count(False)
            steps = await self._forget_items()
        except FlowstoneError as error:
            self.problem = f"retention failed: {error}"
            self._ctx.alarms.set("retention", str(error))
            if isinstance(error, StoreUnavailable):
                self._interval = self._backoff.pause()
            return False
        self.problem = None
        self._interval = self._usual_interval()
        self._backoff.reset()
        if failed:
            # The records are gone, so nobody will look for these values again: it is only wasted space.
            self._ctx.alarms.set("retention", f"{count(failed, 'superseded value')} could not be deleted")
        elif steps:
            words = "values of items that nobody needs could not be deleted, and are tried again: those of"
            self._ctx.alarms.set("retention", f"{words} {', '.join(sorted(steps))}")
        else:
            self._ctx.alarms.clear("retention")
        return not gone and not steps

    def _usual_interval(self) -> float:
        if self._ctx.store.cluster is None:
            return _PRUNE_INTERVAL
        return _SHARED_INTERVAL * self._ctx.random.uniform(0.5, 1.5)

    async def _forget(self, record: Materialization) -> bool:
        """Delete a value; what it is made up of, if that is items, comes with `_forget_items`."""
        location = record.location
        if location is None or location.startswith((ITEMS, PAGES)):
            return True
        return await self._delete(record.io, location)

    async def _forget_items(self) -> set[str]:
        """Delete values of items that nobody needs, and then forget these; the assets where that failed."""
        items, assets = self._ctx.store.items, tuple(self._ctx.snapshot.graph.assets)
        failed: set[str] = set()
        while not (failed or self._stopping):
            steps = await items.unneeded(assets, limit=_STEPS_AT_A_TIME)
            if not steps:
                break
            failed = {one.step[0] for one in steps if not await self._forget_step(one)}
        return failed

    async def _forget_step(self, known: ItemSet) -> bool:
        """Forget the items of a step as their values are deleted; False if one of these cannot be."""
        items, (run_id, step, io) = self._ctx.store.items, known
        if io == UNKNOWN_IO:
            asset = self._ctx.snapshot.graph.assets.get(step[0])
            io = io if asset is None else asset.io
        after = -1
        while io is not None and (
            rows := await items.rows(run_id, step, after=after, limit=_ITEMS_AT_A_TIME)
        ):
            locations = [row.location for row in rows if row.location is not None]
            for at in range(0, len(locations), _TOGETHER):
                if self._stopping:
                    return True  # Whoever asks next goes on here.
                some = locations[at : at + _TOGETHER]
                if not all(await asyncio.gather(*(self._delete(io, location) for location in some))):
                    return False
            after = rows[-1].position
            await items.forget(run_id, step, up_to=after)
        await items.forget(run_id, step)
        return True

    async def _delete(self, io: str, location: str) -> bool:
        manager = self._ctx.managers.get(io)
        if manager is None:
            return False  # The value of a pipeline that another runtime of this store holds.
        if getattr(manager, "kept_by_store", False):
            return True  # It went with the record.
        ok, _ = await call_async(manager.delete, {"location": location}, None)
        return ok
