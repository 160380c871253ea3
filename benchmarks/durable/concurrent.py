"""Many small steps at once on Postgres: as one wide run, and as many runs of one step."""

from __future__ import annotations

import asyncio
from datetime import date, timedelta

from benchmarks.durable.backfill import SLOWEST
from benchmarks.figure import Figure
from benchmarks.functions import function
from benchmarks.postgres import bare, batches, database, prepared
from benchmarks.timing import best, seconds
from flowstone import DailyPartitions, Pipeline, Runtime

PARALLEL = (4, 64, 256)


async def measure(*, quick: bool) -> list[Figure]:
    """µs per step of a run whose steps need nothing, and µs per `materialize()` from as many callers."""
    size, rounds = (50, 2) if quick else (1_000, 5)
    days = DailyPartitions(date(2025, 1, 1), date(2025, 1, 1) + timedelta(size - 1))
    pipeline = Pipeline("concurrent")
    pipeline.asset(function("wide"), partitions=days)
    pipeline.asset(function("quote"))
    figures = []
    with database() as url:
        connection = await prepared(url)
        # Versions of the one `quote` would be pruned while they pile up, which is not what is measured.
        async with Runtime(pipeline, store=url, keep_versions=100_000, max_concurrency=256) as runtime:

            async def wide(parallel: int) -> float:
                return await seconds(runtime.backfill("wide", max_parallel=parallel, refresh="all"))

            async def many(callers: int) -> float:
                async def caller() -> None:
                    for _ in range(size // callers):
                        await runtime.materialize("quote")

                return await seconds(asyncio.gather(*(caller() for _ in range(callers))))

            for name, unit, work, target in (
                (f"one run of {size:,} steps", "µs/step", wide, SLOWEST),
                ("runs of one step", "µs/run", many, None),
            ):
                for parallel in (each for each in PARALLEL if each <= size):
                    await work(parallel)
                    with batches() as seen:
                        await work(parallel)
                    sent = seen.sent
                    times = await best(
                        rounds,
                        lambda sent=sent: seconds(bare(connection, sent)),
                        lambda work=work, parallel=parallel: work(parallel),
                    )
                    count = size if unit == "µs/step" else size // parallel * parallel
                    figures.append(
                        Figure(
                            f"{name}, {parallel} at a time",
                            unit,
                            times.ours * 1e6 / count,
                            times.bare * 1e6 / count,
                            at_most=None if parallel == PARALLEL[0] else target,
                        )
                    )
        await connection.close()
    return figures
