"""The process that owns the store: retention while the runtime runs, closing it when everything else has stopped.

It is the tree's first child, so it is the last to stop: whatever writes on its way out still finds a store.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from flowstone.errors import FlowstoneError

if TYPE_CHECKING:
    from collections.abc import Callable

    from flowstone.runtime.services import Services

__all__ = ["StoreKeeper"]

_log = logging.getLogger(__name__)

_PRUNE_INTERVAL = 5.0


class StoreKeeper:
    """Prunes history and superseded values, and closes the store at the end."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._stopping = asyncio.Event()
        self._due = asyncio.Event()
        self.problem: str | None = None

    async def run(self, started: Callable[[], None]) -> None:
        started()
        while not self._stopping.is_set():
            timer = self._services.clock.call_later(_PRUNE_INTERVAL, self._due.set)
            try:
                await self._due.wait()
            finally:
                timer.cancel()
            self._due.clear()
            await self._prune()
        await self._services.store.close()

    def stop(self) -> None:
        """Close the store and return from `run`."""
        self._stopping.set()
        self._due.set()

    async def _prune(self) -> None:
        settings, store = self._services.settings, self._services.store
        try:
            gone = await store.prune(keep_versions=settings.keep_versions, keep_runs=settings.keep_runs)
        except FlowstoneError as error:
            self.problem = f"retention failed: {error}"
            return
        self.problem = None
        for record in gone:
            if record.location is None:
                continue
            try:
                await self._services.io_manager(record.io).delete(record.location)
            except Exception:
                # The record is gone, so nobody will look for the value again: it is only wasted space.
                _log.warning("The superseded value of %s at %r could not be deleted", record.name, record.location)
