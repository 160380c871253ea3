"""Runs that do something once and wait for an approval, in a world where nodes, connections and the database die.

A client approves and rejects what it finds: each is decided once, and what came of its run agrees with it. What was
done once, and acknowledged, is never done again.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import suppress
from typing import TYPE_CHECKING

from flowstone.errors import AlreadyDecided, ApprovalNotFound, FlowstoneError, StoreUnavailable
from tests.chaos.marks import marks
from tests.chaos.pipeline import PARTS

if TYPE_CHECKING:
    from tests.chaos.world import World

__all__ = ["DecidedRuns"]

RUNS = 12  # In a round.


class DecidedRuns:
    """Submits such runs and decides what they ask for.

    Attributes:
        submitted: Runs that the client was told are durable.
        decided: What it was told of the approvals that it decided: run, and whether it approved.
    """

    def __init__(self, world: World) -> None:
        self._world = world
        self._stop = asyncio.Event()
        self._all_submitted = asyncio.Event()
        self._perhaps: set[str] = set()  # Of these the answer to a decision was lost.
        self.submitted: set[str] = set()
        self.decided: dict[str, bool] = {}
        self.broken: list[str] = []

    async def run(self) -> None:
        """Until `stop`."""
        await asyncio.gather(self._submit(), self._decide())

    async def stopped(self) -> None:
        """Decide what is left, and return when each of these runs has ended."""
        await self._all_submitted.wait()
        for run_id in sorted(self.submitted):
            while not await self._ended(run_id):
                pass
        self._stop.set()

    async def _ended(self, run_id: str) -> bool:
        try:
            await (await self._world.client.run(run_id)).wait()
        except StoreUnavailable:
            return False
        except FlowstoneError:
            pass  # It was rejected.
        return True

    async def _submit(self) -> None:
        random, client = self._world.random, self._world.client
        for part in random.sample(PARTS, RUNS):
            with suppress(StoreUnavailable):  # Nobody was told anything.
                run = await client.submit("reviewed", partition=part)
                self.submitted.add(run.id)
            await asyncio.sleep(random.uniform(0, 0.3))
        self._all_submitted.set()

    async def _decide(self) -> None:
        random, client = self._world.random, self._world.client
        while not self._stop.is_set():
            with suppress(StoreUnavailable):
                for asked in await client.approvals():
                    approve = random.random() < 0.7
                    call = client.approve if approve else client.reject
                    try:
                        await call(asked.id, by="client")
                    except StoreUnavailable:
                        self._perhaps.add(asked.run_id)
                        raise
                    except (AlreadyDecided, ApprovalNotFound):
                        if asked.run_id not in self._perhaps:
                            self.broken.append(f"approval {asked.id} was pending, and nobody else decides")
                        continue
                    if asked.run_id in self.decided:
                        self.broken.append(f"the approval of {asked.run_id} was decided twice")
                    self.decided[asked.run_id] = approve
            await asyncio.sleep(0.1)

    async def check(self) -> list[str]:
        """A sentence for each promise that is broken, once everything is quiet."""
        broken = [*self.broken]
        for run_id in sorted(self.submitted):
            record = await self._world.store.run(run_id)
            status = None if record is None else str(record.status)
            expected = {True: "succeeded", False: "failed", None: "decided"}[self.decided.get(run_id)]
            if run_id in self._perhaps:
                expected = status if status in {"succeeded", "failed"} else "ended"
            if status != expected:
                broken.append(f"run {run_id} is {status}, and was to be {expected}")
        done = [each for each in marks(self._world.place / "done") if each.run_id in self.submitted]
        acknowledged: set[str] = set()
        for each in done:
            if each.asset == "calls" and each.run_id in acknowledged:
                broken.append(f"{each.run_id} did again what was acknowledged to be done once")
            if each.asset == "acknowledged":
                acknowledged.add(each.run_id)
        again = Counter(each.run_id for each in done if each.asset == "calls")
        if self.submitted - set(again):
            broken.append(f"{len(self.submitted - set(again))} runs ended and never began")
        return broken
