"""Backfills over routes, in a world where nodes, connections and the database die: each choice is made once.

A route's function may be called again if it died before its choice was recorded. From the record on there is one
choice, which every branch on every node follows, and of which what takes the outcomes is told.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from contextlib import suppress
from typing import TYPE_CHECKING

from flowstone.errors import FlowstoneError, StoreUnavailable
from flowstone.io.postgres import PostgresIO
from flowstone.runs.events import StepSucceeded
from tests.chaos.branch_assets import BRANCHES, CALLS
from tests.chaos.marks import marks
from tests.chaos.pipeline import PARTS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from flowstone.runs.records import Materialization
    from tests.chaos.world import World

__all__ = ["BranchRuns"]

RUNS = 2  # In a round.
KEYS = 10  # Partitions of each.


class BranchRuns:
    """Submits such backfills.

    Attributes:
        submitted: Runs that the client was told are durable, each with its partitions.
        choices: How many choices were recorded.
    """

    def __init__(self, world: World) -> None:
        self._world = world
        self.submitted: dict[str, list[str]] = {}
        self.choices = 0

    async def run(self) -> None:
        """Until all of them have ended."""
        random, client = self._world.random, self._world.client
        for _ in range(RUNS):
            parts = random.sample(PARTS, KEYS)
            with suppress(StoreUnavailable):  # Nobody was told anything.
                run = await client.submit_backfill(
                    "joined", partitions=parts, upstream=True, refresh="all", max_parallel=8
                )
                self.submitted[run.id] = parts
            await asyncio.sleep(random.uniform(0, 2))
        for run_id in self.submitted:
            while not await self._ended(run_id):
                pass

    async def _ended(self, run_id: str) -> bool:
        try:
            await (await self._world.client.run(run_id)).wait()
        except StoreUnavailable:
            return False
        except FlowstoneError:
            pass
        return True

    async def check(self) -> list[str]:
        """A sentence for each promise that is broken, once everything is quiet."""
        world, broken = self._world, []
        called: dict[tuple[str, str], set[str]] = defaultdict(set)
        for each in marks(world.place / CALLS):
            called[each.run_id, each.key].add(each.asset)
        for run_id, parts in self.submitted.items():
            record = await world.store.run(run_id)
            if record is None or record.status != "succeeded":
                broken.append(f"run {run_id} is {None if record is None else record.status}")
                continue
            by_part: dict[str, dict[str, Materialization]] = defaultdict(dict)
            for made in await world.store.steps(run_id):
                by_part[str(made.partition)][made.asset] = made
            events = [event for _, event in await world.store.events(run_id, limit=10_000)]
            made_twice = len([e for e in events if isinstance(e, StepSucceeded) and e.asset == "way"]) - KEYS
            if made_twice:
                broken.append(f"{run_id} has {made_twice} choices too many")
            for part in parts:
                broken += [
                    f"{run_id} at {part}: {words}"
                    for words in await self._check(by_part[part], called[run_id, part])
                ]
        return broken

    async def _check(self, steps: Mapping[str, Materialization], called: set[str]) -> list[str]:
        if set(steps) != {"way", *BRANCHES, "behind", "joined"}:
            return [f"only {sorted(steps)} are recorded"]
        chosen = set(steps["way"].metadata["route"])
        self.choices += 1
        ends = {"plain": "succeeded", "empty": "skipped", "broken": "failed"}
        expected = {name: end if name in chosen else "skipped" for name, end in ends.items()}
        expected["behind"] = expected["plain"]
        found = {name: str(steps[name].status) for name in expected}
        words = []
        if found != expected:
            words.append(f"the route chose {sorted(chosen)}, and the branches are {found}")
        ran = {name for name in expected if f"{name}:-" in called}
        allowed = chosen | ({"behind"} if "plain" in chosen else set())
        if ran != allowed:
            words.append(f"the route chose {sorted(chosen)}, and {sorted(ran)} were called")
        choice = "+".join(name for name in BRANCHES if name in chosen) or "none"
        if f"way:{choice}" not in called:
            words.append(f"the choice {choice} was never made")
        told = await PostgresIO().attach(self._world.store).load(str(steps["joined"].location))
        if told != expected:
            words.append(f"the branches are {expected}, and what joins them was told {told}")
        return words
