"""The pipeline in the pictures of the pages: a shop by day, with something that fails, waits and recurs."""

from __future__ import annotations

import asyncio
from datetime import date

from flowstone import Config, Context, DailyPartitions, Freshness, MonthlyPartitions, Output, Pipeline

DAYS = DailyPartitions("2025-01-01", "2025-12-31")
MONTHS = MonthlyPartitions("2025-01-01", "2025-12-31")
BROKEN = {date(2025, 3, 14), date(2025, 8, 2)}

pipeline = Pipeline("shop")


class Prices(Config):
    """How amounts are converted."""

    currency: str = "EUR"
    rounding: int = 2


@pipeline.asset(partitions=DAYS, tags={"group": "raw", "owner": "ada"})
async def orders(context: Context) -> Output[list[int]]:
    """The orders of a day, as the till sends them."""
    if context.partition in BROKEN:
        context.log.warning("the till of Oslo has sent no file")
        raise FileNotFoundError(f"oslo-{context.partition}.csv: the till has sent no file")
    amounts = [(context.partition.toordinal() * 37 + number * 101) % 895 + 5 for number in range(40)]
    context.log.info("read", orders=len(amounts), till="Oslo")
    await asyncio.sleep(0.002)
    return Output(amounts, metadata={"orders": len(amounts), "total": sum(amounts)})


@pipeline.asset(partitions=DAYS, tags={"group": "raw", "owner": "ada"})
async def visits(context: Context) -> Output[int]:
    """Who came to the shop, by the counter at the door."""
    await asyncio.sleep(0.001)
    counted = 400 + context.partition.toordinal() * 53 % 211 + 90 * (context.partition.weekday() > 4)
    return Output(counted, metadata={"visits": counted})


@pipeline.asset(partitions=DAYS, tags={"group": "sales", "owner": "grace"})
async def revenue(orders: list[int], prices: Prices) -> Output[float]:
    """What a day brought."""
    await asyncio.sleep(0.002)
    total = round(sum(orders) * 1.19, prices.rounding)
    return Output(total, metadata={"revenue": total})


@pipeline.asset(
    partitions=DAYS, tags={"group": "sales", "owner": "grace"}, freshness=Freshness(within=86_400)
)
async def conversion(orders: list[int], visits: int) -> Output[float]:
    """Orders per visit."""
    rate = len(orders) / visits
    return Output(rate, metadata={"rate": round(rate, 3)})


@pipeline.asset(partitions=MONTHS, tags={"group": "reports", "owner": "grace"})
async def monthly(revenue: dict[date, float], conversion: dict[date, float]) -> dict[str, float]:
    """A month, from the days inside it."""
    await asyncio.sleep(0.01)
    return {"revenue": sum(revenue.values()), "best": max(conversion.values())}


@pipeline.asset(tags={"group": "reports", "owner": "linus"})
async def forecast(context: Context, visits: dict[date, int]) -> float:
    """The year to come."""
    for step in range(40):
        context.progress((step + 1) / 40, f"fit {step + 1} of 40")
        context.log.info("fitted", step=step + 1, error=round(1 / (step + 1), 3))
        await asyncio.sleep(1.0)
    return sum(visits.values()) * 1.05


@pipeline.asset(tags={"group": "reports", "owner": "linus"})
async def newsletter(context: Context) -> str:
    """What customers are told, once somebody has read it."""
    decision = context.approval(
        "send",
        message="Send the newsletter of December to 4,210 customers?",
        data={"subject": "Snow", "to": 4_210},
    )
    return f"sent by {decision.by}"


pipeline.schedule("nightly", cron="0 6 * * *", asset="conversion", partition="latest", upstream=True)
pipeline.schedule("month-end", cron="30 7 1 * *", asset="monthly", partition="latest", upstream=True)
