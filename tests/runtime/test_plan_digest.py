"""Plans have the same digest where the same would happen, and only there."""

from __future__ import annotations

from flowstone import Config, DailyPartitions, Pipeline, Runtime

DAYS = DailyPartitions("2025-01-01", "2025-01-31")


class Rate(Config):
    limit: int = 3


def shop() -> Pipeline:
    pipeline = Pipeline("shop")

    @pipeline.asset(partitions=DAYS)
    async def raw(rate: Rate) -> int:
        return rate.limit

    @pipeline.asset(partitions=DAYS)
    async def visits(raw: int) -> int:
        return raw

    return pipeline


async def test_the_same_plan_has_the_same_digest():
    """Made twice, in another runtime too, and whatever has happened that does not matter to it."""
    digests = set()
    for _ in range(2):
        async with Runtime(shop()) as runtime:
            await runtime.backfill("raw", start="2025-01-03", end="2025-01-05")
            digests.add((await runtime.plan("raw")).digest)
            await runtime.materialize("raw", partition="2025-01-04")
            digests.add((await runtime.plan("raw")).digest)
    assert len(digests) == 1


async def test_another_plan_has_another_one():
    """Other steps, other values that are reused, another config, other partitions, another way to reuse."""
    async with Runtime(shop()) as runtime:
        await runtime.backfill("raw", start="2025-01-03", end="2025-01-20")
        before = await runtime.plan("raw")
        await runtime.invalidate("raw", partition="2025-01-07")
        seventh = await runtime.plan("raw")
        await runtime.materialize("raw", partition="2025-01-07")
        await runtime.invalidate("raw", partition="2025-01-15")
        fifteenth = await runtime.plan("raw")
        assert seventh.to_run == fifteenth.to_run == before.to_run + 1
        plans = [
            before,
            seventh,
            fifteenth,
            await runtime.plan("raw", refresh="stale"),
            await runtime.plan("raw", refresh="all"),
            await runtime.plan("raw", start="2025-01-02"),
            await runtime.plan("raw", refresh="all", config={"limit": 4}),
            await runtime.plan("raw", refresh="all", config={"limit": 5}),
            await runtime.plan("visits", upstream=True),
        ]
        assert len({plan.digest for plan in plans}) == len(plans)
