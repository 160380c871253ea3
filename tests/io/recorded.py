"""An IO manager that keeps values in a run store, with the runtime's part played."""

from __future__ import annotations

from itertools import count

from flowstone.runs.events import RunFinished
from flowstone.runs.records import Status
from tests.store.facts import at, end, run

__all__ = ["Recorded"]


class Recorded:
    """Records each value that is stored as the success of a run of its own, as a runtime would.

    Args:
        manager: The manager, not attached yet.
        run_store: An open store.
    """

    def __init__(self, manager, run_store):
        self.manager = manager.attach(run_store)
        self.run_store = run_store
        self.load, self.delete, self.exists = self.manager.load, self.manager.delete, self.manager.exists
        self.numbers = count(1)

    async def store(self, target, value):
        stored = await self.manager.store(target, value)
        number = next(self.numbers)
        run_id = f"{id(self)}-{number:06}"
        await self.run_store.create_run(run(run_id))
        success = end("a", run_id=run_id, location=stored.location, second=number)
        await self.run_store.write(success, payload=stored.payload)
        await self.run_store.write(RunFinished(at(number), run_id, "a", Status.SUCCEEDED))
        return stored
