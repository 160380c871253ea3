"""Three daily assets over a year on Postgres, beside a bare group commit of as many rows in the same batches."""

from __future__ import annotations

from datetime import date, timedelta

from benchmarks.figure import Figure
from benchmarks.functions import function
from benchmarks.postgres import bare, batches, database, prepared
from benchmarks.timing import best, seconds
from flowstone import DailyPartitions, Pipeline, Runtime

__all__ = ["SLOWEST", "year"]

SLOWEST = 200  # µs a step: 5,000 steps a second.
PARALLEL = (4, 64, 256)


def year(size: int) -> Pipeline:
    """Three daily assets: raw → clean → report."""
    days = DailyPartitions(date(2025, 1, 1), date(2025, 1, 1) + timedelta(size - 1))
    pipeline = Pipeline("backfill")
    for step in (
        function("raw"),
        function("clean", ["raw"], "return raw + 1"),
        function("report", ["clean"], "return clean + 1"),
    ):
        pipeline.asset(step, partitions=days)
    return pipeline


async def measure(*, quick: bool) -> list[Figure]:
    """µs per step of `backfill(upstream=True)`; two commits lie between a step and the next."""
    size, rounds = (30, 2) if quick else (365, 7)
    figures = []
    with database() as url:
        connection = await prepared(url)
        async with Runtime(year(size), store=url) as runtime:
            for parallel in PARALLEL:

                async def ours(parallel: int = parallel) -> float:
                    return await seconds(
                        runtime.backfill("report", upstream=True, max_parallel=parallel, refresh="all")
                    )

                await ours()
                with batches() as seen:
                    await ours()
                sent = seen.sent
                times = await best(rounds, lambda sent=sent: seconds(bare(connection, sent)), ours)
                scale = 1e6 / (3 * size)
                figures.append(
                    Figure(
                        f"backfill 3 assets × {size} days, {parallel} at a time",
                        "µs/step",
                        times.ours * scale,
                        times.bare * scale,
                        at_most=None if parallel == PARALLEL[0] else SLOWEST,
                    )
                )
        await connection.close()
    return figures
