"""A pipeline with something of everything that a client can ask about."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from flowstone import (
    Config,
    Context,
    DailyPartitions,
    DynamicPartitions,
    Each,
    Freshness,
    Outcome,
    Output,
    Pipeline,
    Skip,
)

DAYS = DailyPartitions("2025-01-01", "2025-01-06")


class ReportConfig(Config):
    threshold: int = 3


def store() -> Pipeline:
    """Visits by day, what is made of them, and assets that fail, wait, skip, go through items, and tolerate."""
    pipeline = Pipeline("store")
    pipeline.pool("warehouse", slots=4)
    pipeline.rate("api", limit=1_000, per=1.0)

    @pipeline.asset(partitions=DAYS, tags={"team": "core"}, pool={"warehouse": 2}, rate="api")
    async def visits(context: Context) -> Output[int]:
        """How many came."""
        context.log.info("counted", day=str(context.partition))
        if context.partition.day == 5:
            raise ValueError("the counter was broken")
        return Output(context.partition.day, metadata={"rows": context.partition.day})

    @pipeline.asset(freshness=Freshness(within=timedelta(hours=1)))
    async def orders() -> list[int]:
        """Every order's amount."""
        return [3, 1, 2]

    @pipeline.asset
    async def total(orders: list[int], config: ReportConfig) -> int:
        return sum(orders) + config.threshold

    @pipeline.asset
    async def broken() -> int:
        raise OSError("disk at postgres://ada:secret@db/shop is full")

    @pipeline.asset
    async def after_broken(broken: int) -> int:
        return broken

    @pipeline.asset
    async def tolerant(broken: Outcome[int], orders: list[int]) -> str:
        return broken.status

    @pipeline.asset
    async def nothing() -> int:
        raise Skip("no data today")

    @pipeline.asset
    def paid(context: Context) -> str:
        return context.approval("pay", message="3 rows", data={"rows": 3}, timeout=3_600).by

    @pipeline.asset(each=Each("orders", tolerate=1))
    async def doubled(orders: int) -> int:
        if orders == 1:
            raise ValueError("one is none")
        return 2 * orders

    @pipeline.asset(partitions=DynamicPartitions("regions"))
    async def sales(context: Context) -> str:
        return str(context.partition)

    @pipeline.asset
    async def endless() -> int:
        await asyncio.Event().wait()
        return 1

    pipeline.schedule("nightly", cron="0 6 * * *", asset="orders")
    return pipeline
