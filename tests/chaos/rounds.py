"""One round of chaos: runs are submitted, things go wrong, then nothing does, and everything is checked."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from flowstone.errors import FlowstoneError, StoreUnavailable
from tests.chaos.branch_runs import BranchRuns
from tests.chaos.checks import Findings, check
from tests.chaos.decided_runs import DecidedRuns
from tests.chaos.item_runs import ItemRuns
from tests.chaos.nemesis import FAULTS, LONG
from tests.chaos.pipeline import PARTS
from tests.chaos.short_runs import ShortRuns, deadlocks

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.chaos.world import World

__all__ = ["Report", "one_round"]

QUIET = 40.0  # Seconds from the end of the faults until every run must have ended; most of it is work to do.


@dataclass(slots=True)
class Report:
    """What many rounds came to."""

    rounds: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    acknowledged: int = 0
    lost: int = 0
    steps: int = 0
    doubled: int = 0
    executions: int = 0
    short: int = 0
    decided: int = 0
    items: int = 0
    item_nodes: int = 0
    choices: int = 0
    deadlocks: int = 0
    longest: float = 0.0
    refused: int = 0
    broken: list[str] = field(default_factory=list)

    def add(self, found: Findings, quiet: float) -> None:
        self.rounds += 1
        self.acknowledged += found.acknowledged
        self.lost += found.lost
        self.steps += found.steps
        self.doubled += found.doubled
        self.executions += found.executions
        self.longest = max(self.longest, quiet)
        self.broken += found.broken


async def one_round(
    world: World, report: Report, faults: Sequence[str], *, spread: float = 8.0, most: int = len(PARTS)
) -> None:
    """Do these faults, at random instants of so many seconds, to some backfills; add what came of it.

    Args:
        world: Where.
        report: What it is added to.
        faults: By name.
        spread: Seconds over which they begin.
        most: Partitions of the largest backfill.
    """
    random, short, decided = world.random, ShortRuns(world), DecidedRuns(world)
    items, branches = ItemRuns(world), BranchRuns(world)
    began: set[str] = set()
    beside = asyncio.gather(short.run(), decided.run(), items.run(), branches.run())
    waiting = [
        asyncio.create_task(
            _client(world, report, began, random.uniform(0, spread * 0.7), random.randint(most // 4, most))
        )
        for _ in range(random.randint(2, 4))
    ]
    server = asyncio.Lock()  # Of two faults of the server at once, one would undo the other.
    nemesis = [
        asyncio.create_task(_fault(world, report, name, random.uniform(0.3, spread), server))
        for name in faults
    ]
    try:
        await asyncio.gather(*nemesis)
        quiet = time.monotonic()
        short.stop()
        async with asyncio.timeout(QUIET):
            await asyncio.gather(*waiting, decided.stopped())
            await beside
    except TimeoutError:
        left = await world.ask(
            "select id, asset, status, owner, epoch from flowstone.runs where finish_order is null"
        )
        told = "; ".join(" ".join(map(str, row)) for row in left)
        report.broken.append(f"runs had not ended {QUIET:g} s after the last fault: {told}")
    finally:
        for task in (*nemesis, *waiting, beside):
            task.cancel()
        await asyncio.gather(*nemesis, *waiting, beside, return_exceptions=True)
    taken = time.monotonic() - quiet
    await _settled(world)
    report.add(await check(world, began), taken)
    await _add_short(world, report, short)
    report.decided += len(decided.decided)
    report.broken += [*await decided.check(), *await items.check(), *await branches.check()]
    report.items += items.items
    report.item_nodes = max(report.item_nodes, items.nodes)
    report.choices += branches.choices


async def _add_short(world: World, report: Report, short: ShortRuns) -> None:
    report.short += len(short.submitted)
    report.broken += await short.check()
    report.deadlocks = deadlocks(world)
    if report.deadlocks:
        report.broken.append(f"the server has logged {report.deadlocks} deadlocks")


async def _client(world: World, report: Report, began: set[str], delay: float, count: int) -> None:
    """Submit a backfill and wait for it, as somebody would who writes down what he is told."""
    await asyncio.sleep(delay)
    try:
        run = await world.client.submit_backfill(
            "clean", partitions=PARTS[:count], upstream=True, max_parallel=8, refresh="all"
        )
    except StoreUnavailable:
        report.refused += 1  # Nobody was told that it is durable.
        return
    world.ledger.note("submitted", run.id, 2 * count)
    began.add(run.id)
    while True:
        try:
            await run.wait()
        except StoreUnavailable:
            continue
        except FlowstoneError:
            return  # What became of it, the checks will tell.
        world.ledger.note("succeeded", run.id, 2 * count)
        return


async def _fault(world: World, report: Report, name: str, delay: float, server: asyncio.Lock) -> None:
    await asyncio.sleep(delay)
    async with server:
        await (FAULTS | LONG)[name](world)
    report.faults[name] += 1


async def _settled(world: World) -> None:
    """Let the nodes do what they do behind the end of a run; the checks say if they have not."""
    queries = (
        "select 1 from flowstone.step_leases",
        "select 1 from flowstone.queue",
        "select 1 from flowstone.runs where finish_order is null",
    )
    for _ in range(100):
        if not [row for query in queries for row in await world.ask(query)]:
            return
        await asyncio.sleep(0.1)
