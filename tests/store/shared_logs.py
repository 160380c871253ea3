"""The logs of attempts in the double of a database: what is sent again after a lost answer is not kept twice."""

from __future__ import annotations

from flowstone.store.memory_logs import MemoryLogs

__all__ = ["SharedLogs", "logs_of_all"]


def logs_of_all(shared):
    """What all nodes share."""
    logs = MemoryLogs(lambda: shared.history)
    logs.kept = set()
    return logs


class SharedLogs:
    """One node's connection to them."""

    def __init__(self, store):
        self._store = store
        self._logs = store.shared.logs

    async def append(self, writer, chunks):
        await self._store._pass("append_logs")
        new = [chunk for chunk in chunks if (writer, chunk.part) not in self._logs.kept]
        self._logs.kept.update((writer, chunk.part) for chunk in chunks)
        await self._logs.append(writer, new)

    async def page(self, run_id, **which):
        await self._store._pass("logs")
        return await self._logs.page(run_id, **which)

    async def tail(self, run_id, **which):
        await self._store._pass("logs")
        return await self._logs.tail(run_id, **which)

    async def prune(self):
        await self._store._pass("prune_logs")
        await self._logs.prune()
