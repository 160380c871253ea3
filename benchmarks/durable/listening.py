"""A backfill on Postgres beside the same backfill while its events go to a listener, 50,000 of them a minute."""

from __future__ import annotations

import asyncio
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

from benchmarks.figure import Figure
from benchmarks.postgres import database
from benchmarks.timing import best, seconds
from flowstone import DailyPartitions, Pipeline, Runtime

if TYPE_CHECKING:
    from flowstone import Event

__all__ = ["MOST", "TOLD", "listened_to"]

TOLD = 50_000 / 60  # Events a second.
MOST = 1.05
PARALLEL = 64
HASTE = 1.3  # Steps sleep less than they should, because they take more than their sleep.


def listened_to(size: int, heard: Any) -> Pipeline:
    """A daily asset whose steps succeed as often as events are to be told; `heard` is called for each, or None."""
    pipeline = Pipeline("listened to" if heard else "alone")
    days = DailyPartitions(date(1990, 1, 1), date(1990, 1, 1) + timedelta(size - 1))

    @pipeline.asset(partitions=days)
    async def busy() -> int:
        await asyncio.sleep(PARALLEL / TOLD / HASTE)
        return 1

    if heard is not None:

        @pipeline.on("step.succeeded")
        async def listener(event: Event) -> None:
            heard(event)

    return pipeline


async def measure(*, quick: bool) -> list[Figure]:
    """Ms per step, alone and listened to, in turns."""
    size, rounds = (100, 1) if quick else (4_000, 4)
    told: list[None] = []
    with database() as alone_url, database() as told_url:
        alone = Runtime(listened_to(size, None), store=alone_url, automate=True)
        heard = Runtime(listened_to(size, lambda _: told.append(None)), store=told_url, automate=True)
        async with alone, heard:

            async def run(runtime: Runtime) -> float:
                return await seconds(runtime.backfill("busy", max_parallel=PARALLEL, refresh="all"))

            times = await best(rounds, lambda: run(alone), lambda: run(heard))
            assert len(told) > (rounds - 1) * size, "the listener keeps up"
    rate = f"{60 * size / times.ours:,.0f} events a minute"
    return [
        Figure(
            f"backfill that tells a listener {rate}",
            "ms/step",
            1e3 * times.ours / size,
            1e3 * times.bare / size,
            ratio_at_most=MOST,
        )
    ]
