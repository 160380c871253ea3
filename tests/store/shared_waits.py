"""Waits and items of a `SharedMemory`, by one connection: as in memory, but by the database's clock."""

from __future__ import annotations

from itertools import islice

from flowstone.store.items import ItemSet
from flowstone.store.memory_items import MemoryItems
from flowstone.store.memory_waits import MemoryWaits
from flowstone.store.waits import Answered, Expired

__all__ = ["SharedItems", "SharedWaits"]


class SharedWaits(MemoryWaits):
    """The waits: what is woken is told, and goes into the queue."""

    def __init__(self, store):
        super().__init__(lambda: store.shared.history, store._change)
        self._store = store

    async def answer(self, run_id, step, name, answer, *, now, status="answered", by=None):
        await self._store._pass("answer")
        now = self._store.shared.now()
        answered = await super().answer(run_id, step, name, answer, now=now, status=status, by=by)
        return Answered(answered.wait)

    async def answers(self, run_id, step):
        await self._store._pass("answers")
        return await super().answers(run_id, step)

    async def woken(self, run_id, *, after):
        await self._store._pass("woken")
        return await super().woken(run_id, after=after)

    async def waiting(self, step=None):
        await self._store._pass("waiting")
        if step is None and self._store.shared.history.waits._timeouts:
            return True
        return await super().waiting(step)

    async def expire(self, *, now, runs=None):
        await self._store._pass("expire")
        expired = await super().expire(now=self._store.shared.now())
        return Expired((), expired.next)

    async def approval(self, id):  # noqa: A002 - the public word
        await self._store._pass("approval")
        return await super().approval(id)

    async def approvals(self, statuses=(), *, now, asset=None, limit=100, before=None):
        await self._store._pass("approvals")
        now = self._store.shared.now()
        return await super().approvals(statuses, now=now, asset=asset, limit=limit, before=before)

    async def open(self, *, now, asset=None, limit=100):
        await self._store._pass("open_waits")
        return await super().open(now=self._store.shared.now(), asset=asset, limit=limit)

    async def of_token(self, hashed):
        await self._store._pass("of_token")
        return await super().of_token(hashed)


class SharedItems(MemoryItems):
    """The items: whoever asks for those that nobody needs gets those of its assets, whoever keeps their values."""

    def __init__(self, store):
        super().__init__(lambda: store.shared.history, store._change, lambda: store.shared.payloads)
        self._store = store

    async def record(self, run_id, step, epoch, rows, payloads=(), *, io=None):
        await self._store._pass("record_items")
        await super().record(run_id, step, epoch, rows, payloads, io=io)

    async def states(self, run_id, step):
        await self._store._pass("states")
        return await super().states(run_id, step)

    async def rows(self, run_id, step, **which):
        await self._store._pass("rows")
        return await super().rows(run_id, step, **which)

    async def unneeded(self, assets, *, limit):
        await self._store._pass("unneeded")
        history = self._store.shared.history
        chosen = list(islice((key for key in history.unneeded if key[1] in assets), limit))
        for key in chosen:
            del history.unneeded[key]
            history.unneeded[key] = None  # Others come first the next time.
        return [ItemSet(key[0], key[1:], history.items[key].io) for key in chosen]

    async def forget(self, run_id, step, *, up_to=None):
        await self._store._pass("forget_items")
        await super().forget(run_id, step, up_to=up_to)
