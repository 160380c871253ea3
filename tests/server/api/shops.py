"""Pipelines that the tests of the API ask about."""

from __future__ import annotations

from datetime import date

from flowstone import Config, Context, DailyPartitions, Pipeline

DAYS = DailyPartitions("2025-01-01", "2025-01-31")


class ReportConfig(Config):
    threshold: int = 3


def shop() -> Pipeline:
    """Visits by day, a report of all of them, and an asset that fails."""
    pipeline = Pipeline("shop")

    @pipeline.asset(partitions=DAYS, tags={"team": "core"})
    async def visits(context: Context) -> int:
        """How many came."""
        context.log.info("counted", day=str(context.partition))
        return 3

    @pipeline.asset
    async def report(visits: dict[date, int], config: ReportConfig) -> int:
        return sum(visits.values()) + config.threshold

    @pipeline.asset
    async def broken() -> int:
        raise OSError("disk at postgres://ada:secret@db/shop is full")

    return pipeline


async def ended(visitor, run_id: str) -> dict:
    """The run, once it has ended."""
    run = await visitor.runtime.run(run_id)
    async for _ in run.events():
        pass
    return (await visitor.get(f"/api/v1/runs/{run_id}")).json()
