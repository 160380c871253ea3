"""The process that owns the store: retention while the runtime runs, closing it when everything else has stopped.

It is the tree's first child, so it is the last to stop: whatever writes on its way out still finds a store.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from flowstone.errors import FlowstoneError
from flowstone.runtime.guard import call_async

if TYPE_CHECKING:
    from collections.abc import Callable

    from flowstone.runtime.services import Services

__all__ = ["StoreKeeper"]

_log = logging.getLogger(__name__)

_PRUNE_INTERVAL = 1.0


class StoreKeeper:
    """Prunes history and superseded values, and closes the store at the end."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._stopping = False
        self._due = asyncio.Event()
        self.problem: str | None = None

    async def run(self, started: Callable[[], None]) -> None:
        started()
        while not self._stopping:
            timer = self._services.clock.call_later(_PRUNE_INTERVAL, self._due.set)
            try:
                await self._due.wait()
            finally:
                timer.cancel()
            self._due.clear()
            if not self._stopping:
                await self._prune()
        await self._services.store.close()

    def stop(self) -> None:
        """Close the store and return from `run`."""
        self._stopping = True
        self._due.set()

    async def _prune(self) -> None:
        settings, store = self._services.settings, self._services.store
        try:
            gone = await store.prune(keep_versions=settings.keep_versions, keep_runs=settings.keep_runs)
        except FlowstoneError as error:
            self.problem = f"retention failed: {error}"
            return
        self.problem = None
        failed = 0
        for record in gone:
            if record.location is not None and not await self._delete(record.io, record.location):
                failed += 1
        if failed:
            # The records are gone, so nobody will look for these values again: it is only wasted space.
            _log.warning("%d superseded values could not be deleted", failed)

    async def _delete(self, io: str, location: str) -> bool:
        ok, _ = await call_async(self._services.managers[io].delete, {"location": location}, None)
        return ok
