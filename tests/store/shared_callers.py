"""Who wants which run, as one connection to the database in memory sees it: all of them have the same callers."""

from __future__ import annotations

from flowstone.errors import WaitsForItself
from flowstone.store.memory_callers import MemoryCallers

__all__ = ["SharedCallers", "callers_of_all"]


def callers_of_all(shared):
    """The callers that all connections share."""

    async def change(_, apply):
        return apply()

    async def settled(): ...

    return MemoryCallers(lambda: shared.history, change, settled)


class SharedCallers:
    """The callers of one connection."""

    def __init__(self, store):
        self._store = store
        self._all = store.shared.callers

    async def create(self, run, caller, *, join=True, but=()):
        await self._store._pass("create")
        before = {each: dict(present) for each, present in self._all._present.items()}
        run_id = await self._all.create(run, caller, join=join, but=but)
        if caller is not None and run_id != run.id and self._closes(run_id, caller):
            self._all._present = before
            raise _waits_for_itself(run_id, caller)
        if run_id != run.id or run.owner is None:
            self._store.shared.history.submitted.add(run_id)
        if run_id == run.id and run.owner is None:
            self._store.shared.enqueue(run.id, run.pipeline)
        return run_id

    def _closes(self, run_id, caller):
        """Whether one of the runs that wait for the caller would have to end first."""
        if not caller.waiting:
            return False
        ahead = [run_id]
        for each in ahead:
            for awaited, present in self._all._present.items():
                waits = any(each in other.waiting for other in present.values())
                if waits and self._store.shared.log(awaited) is not None and awaited not in ahead:
                    ahead.append(awaited)
        return not set(ahead).isdisjoint(caller.waiting)

    async def attend(self, run_id, caller):
        await self._store._pass("attend")
        if self._closes(run_id, caller):
            raise _waits_for_itself(run_id, caller)
        await self._all.attend(run_id, caller)

    async def keep(self, run_id):
        await self._store._pass("keep")
        await self._all.keep(run_id)

    def keep_now(self, run_id):
        self._all.keep_now(run_id)

    def ending(self):
        return self._all.ending()

    async def leave(self, run_id, caller):
        await self._store._pass("leave_run")
        why = await self._all.leave(run_id, caller)
        if why is not None:
            await self._store.request_cancel(run_id, why)
        return why

    async def forget(self, node_id):
        await self._store._pass("forget")
        for run_id, present in list(self._all._present.items()):
            gone = [each for each in present.values() if each.node == node_id]
            for each in gone:
                last = each is gone[-1]
                cancels = last and any(one.cancels for one in gone)
                await self._gone(run_id, each, cancels=cancels)

    async def _gone(self, run_id, caller, *, cancels):
        present = self._all._present[run_id]
        del present[caller.id]
        if cancels and not present:
            self._all._over.add(run_id)
            await self._store.request_cancel(run_id, "unwanted")

    async def wanted(self, run_ids, node_id):
        await self._store._pass("wanted")
        return await self._all.wanted(run_ids, node_id)

    def any_of(self, node_id):
        """Whether a node has callers."""
        return any(
            each.node == node_id for present in self._all._present.values() for each in present.values()
        )


def _waits_for_itself(run_id, caller):
    return WaitsForItself(f"{caller.waiting[0]} would wait for {run_id}, which waits for it")
