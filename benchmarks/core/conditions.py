"""10,000 assets of 365 partitions, half of them with a condition: what one change upstream costs, and none.

Half of the assets are sources. One of them is upstream of a hundred others, each other one of one. *Bare* is the
same change in a pipeline of two assets: what a change costs does not depend on how much there is beside it.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from benchmarks.figure import Figure
from benchmarks.functions import function
from benchmarks.timing import best, seconds
from flowstone import Automation, DailyPartitions, Pipeline, Runtime
from flowstone.store import MemoryStore
from flowstone.testing.clock import VirtualClock

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable

__all__ = ["WIDE", "measure", "pairs"]

DAYS = DailyPartitions("2024-01-01", "2024-12-30")
WIDE = 100
QUESTIONS = ("run", "runs", "current", "current_keys", "step", "partitions", "deliveries", "automations")


class CountingStore(MemoryStore):
    """A store that counts what is asked of it, and the records that are looked up."""

    def __init__(self) -> None:
        super().__init__()
        self.questions = 0
        self.rows = 0

    def __getattribute__(self, name: str) -> Any:
        if name in QUESTIONS:
            self.questions += 1
        return super().__getattribute__(name)

    async def current(self, keys: Iterable[Any]) -> Any:
        wanted = list(keys)
        self.rows += len(wanted)
        return await super().current(wanted)


def pairs(number: int, wide: int) -> Pipeline:
    """So many sources, each with an asset that is computed when it changes; and one source of many assets."""
    pipeline = Pipeline("conditions")
    eager = Automation.on_upstream_change()
    for source in range(number):
        pipeline.asset(function(f"raw_{source}"), partitions=DAYS)
        made = function(f"made_{source}", [f"raw_{source}"])
        pipeline.asset(made, partitions=DAYS, automation=eager)
    pipeline.asset(function("wide"), partitions=DAYS)
    for narrow in range(wide):
        pipeline.asset(function(f"narrow_{narrow}", ["wide"]), partitions=DAYS, automation=eager)
    return pipeline


@asynccontextmanager
async def driven(number: int, wide: int) -> AsyncIterator[tuple[Runtime, CountingStore]]:
    """A runtime that drives the conditions of such a pipeline."""
    store = CountingStore()
    async with Runtime(pairs(number, wide), store=store, automate=True, condition_delay=0.0) as runtime:
        await changed(runtime, "wide", wide)  # From here on all is known.
        yield runtime, store


async def changed(runtime: Runtime, source: str, runs: int) -> None:
    """Change one partition of a source; until everything that follows is computed."""
    async with runtime.subscribe("run.succeeded") as ends:
        await runtime.materialize(source, partition="2024-06-01")
        left = runs
        async for event in ends:
            left -= event.asset != source
            if left <= 0:
                return


async def measure(*, quick: bool) -> list[Figure]:
    """Milliseconds a change, the records it looks up, runs of a burst, and questions in an hour without changes."""
    number, wide, rounds = (50, 10, 2) if quick else (4_950, WIDE, 7)
    async with driven(number, wide) as (runtime, store), driven(1, 1) as (small, _):
        one = await best(
            rounds,
            lambda: seconds(changed(small, "raw_0", 1)),
            lambda: seconds(changed(runtime, "raw_0", 1)),
        )
        many = await best(
            rounds, lambda: seconds(asyncio.sleep(0)), lambda: seconds(changed(runtime, "wide", wide))
        )
        before = store.rows
        await changed(runtime, "raw_1", 1)
        rows = store.rows - before
        runs = await burst(runtime, quick=quick)
    what = f"{2 * number + wide:,} assets of {len(DAYS)} partitions"
    return [
        Figure(
            f"a change with one asset downstream, among {what}",
            "ms",
            one.ours * 1e3,
            one.bare * 1e3,
            ratio_at_most=2,
        ),
        Figure(f"a change with {wide} assets downstream", "ms", many.ours * 1e3),
        Figure("records looked up by a change with one downstream", "records", rows, at_most=10),
        Figure("runs that a burst of 1,000 changes of one value starts", "runs", runs, at_most=3),
        Figure(f"questions in an idle hour, {what}", "questions", await idle(number, wide), at_most=0),
    ]


async def burst(runtime: Runtime, *, quick: bool) -> int:
    """How many runs so many changes start that come while the first of these runs is on its way."""
    days = {"partition": "2024-07-01"}
    before = len(await runtime.history("made_2", limit=1_000, **days))
    async with asyncio.TaskGroup() as group:
        for _ in range(50 if quick else 1_000):
            group.create_task(runtime.materialize("raw_2", **days))
    newest = (await runtime.history("raw_2", limit=1, **days))[0]
    while True:
        found = await runtime.history("made_2", limit=1_000, **days)
        if found and found[0].inputs[0].run_id == newest.run_id:
            return len(found) - before
        await asyncio.sleep(0.01)


async def idle(number: int, wide: int) -> int:
    """How often the store is asked in an hour of virtual time in which nothing happens."""
    clock, store = VirtualClock(), CountingStore()
    async with Runtime(pairs(number, wide), store=store, clock=clock, automate=True):
        await clock.advance(60)
        before = store.questions
        await clock.advance(3_600)
        return store.questions - before
