"""Exchange rates of two sources that fail now and then: `uv run python examples/exchange_rates.py`.

Nothing is traded at weekends, which is no failure (`Skip`). One source is enough (`Outcome`). A rate that jumps is
held back instead of being booked (a route).
"""

from __future__ import annotations

import asyncio
from datetime import date
from decimal import Decimal

from flowstone import Context, DailyPartitions, Outcome, Pipeline, Runtime, Skip

DAYS = DailyPartitions("2025-03-03", "2025-03-10")
EXPECTED = Decimal("1.05"), Decimal("1.10")

# What the sources would answer, by the day of March; a source that is missing does not.
BANK = {3: "1.0465", 4: "1.0557", 5: "1.0694", 7: "1.0857", 10: "1.0825"}
MARKET = {3: "1.0487", 5: "1.0788", 6: "1.0785", 7: "1.0833", 10: "1.0834"}

pipeline = Pipeline("rates")


def quoted(source: dict[int, str], day: date) -> Decimal:
    """The rate of a source; a real one would be asked."""
    if day.weekday() >= 5:
        raise Skip(f"no trade on a {day:%A}")
    if day.day not in source:
        raise ConnectionError("the source does not answer")
    return Decimal(source[day.day])


@pipeline.asset(partitions=DAYS)
def bank(context: Context) -> Decimal:
    """The rate that the central bank publishes."""
    return quoted(BANK, context.partition)


@pipeline.asset(partitions=DAYS)
def market(context: Context) -> Decimal:
    """The last rate of an exchange."""
    return quoted(MARKET, context.partition)


@pipeline.asset(partitions=DAYS)
async def rate(bank: Outcome[Decimal], market: Outcome[Decimal]) -> Decimal:
    """The mean of what there is."""
    found = [source.value for source in (bank, market) if source.ok]
    if found:
        return sum(found, Decimal(0)) / len(found)
    if bank.status == market.status == "skipped":
        raise Skip(bank.reason or "")
    raise ConnectionError("no source answers")


@pipeline.route(to=["booked", "held"], partitions=DAYS)
async def verdict(rate: Decimal) -> str:
    """Whether the rate may be booked as it is."""
    return "booked" if EXPECTED[0] <= rate <= EXPECTED[1] else "held"


@pipeline.asset(partitions=DAYS)
async def booked(rate: Decimal) -> str:
    """The line of the ledger."""
    return f"booked at {rate:.4f}"


@pipeline.asset(partitions=DAYS)
async def held(rate: Decimal) -> str:
    """The note for whoever looks at it; it might wait for an approval."""
    return f"held, {rate:.4f} is out of bounds"


@pipeline.asset(partitions=DAYS)
async def line(rate: Outcome[Decimal], booked: str | None = None, held: str | None = None) -> str:
    """What to tell of the day, whichever way it went."""
    return booked or held or rate.reason or "nothing is known"


async def main() -> None:
    """Compute a week, and tell of each day and of what did not answer."""
    async with Runtime(pipeline) as runtime:
        result = await runtime.backfill(line, upstream=True)
        for day in DAYS:
            print(f"{day:%a %d}", await result.value(line, partition=day))
        print(f"{result.status}, without {', '.join(step.name for step in result.failed)}")


if __name__ == "__main__":
    asyncio.run(main())
