"""Four years of weather: 1,461 days -> 48 months -> one report.

The dependencies are the parameters. `weather` is computed for a day at a time, `monthly` for a month at a
time from the days in it, `report` once from all the months. Nobody says in which order, nor which days make
a month.

The functions are plain `def`s that take microseconds, so they run on the event loop: a worker thread would
cost more than the work.
"""

from __future__ import annotations

import csv
from datetime import date  # noqa: TC003 - annotations of assets are read when they are defined
from importlib.resources import files
from typing import TypedDict

from flowstone import Context, DailyPartitions, MonthlyPartitions, Output, Pipeline

__all__ = ["pipeline"]

pipeline = Pipeline("seattle")

DAYS = DailyPartitions("2012-01-01", "2015-12-31")
MONTHS = MonthlyPartitions("2012-01-01", "2015-12-01")


class Day(TypedDict):
    """One day: rain in millimetres, temperatures in degrees Celsius, wind in metres a second."""

    rain: float
    high: float
    low: float
    wind: float
    sky: str


class Month(TypedDict):
    """One month: total rain, how many days had any, the mean of the daily highs, and its extreme days."""

    rain: float
    rain_days: int
    mean_high: float
    hottest: tuple[float, str]
    coldest: tuple[float, str]
    wettest: tuple[float, str]


class Report(TypedDict):
    """What four years come to; the days are ISO dates, the months `YYYY-MM`."""

    hottest: tuple[float, str]
    coldest: tuple[float, str]
    wettest: tuple[float, str]
    wettest_month: tuple[float, str]
    driest_month: tuple[float, str]
    rain_by_year: dict[str, float]
    rain_days_by_year: dict[str, int]
    mean_high_by_year: dict[str, float]
    rain_by_month: list[float]


@pipeline.asset(run_in="loop", tags={"source": "NOAA"})
def observations() -> dict[str, list[str]]:
    """The observations as they were published, by day."""
    text = files("flowstone.cli.demo").joinpath("seattle-weather.csv").read_text(encoding="ascii")
    header, *rows = csv.reader(text.splitlines())
    if header != ["date", "precipitation", "temp_max", "temp_min", "wind", "weather"]:
        raise ValueError(f"unexpected columns: {header}")
    return {day.replace("/", "-"): values for day, *values in rows}


@pipeline.asset(partitions=DAYS, run_in="loop")
def weather(context: Context, observations: dict[str, list[str]]) -> Day:
    """One day's weather, parsed and checked."""
    rain, high, low, wind, sky = observations[context.partition.isoformat()]
    day = Day(rain=float(rain), high=float(high), low=float(low), wind=float(wind), sky=sky)
    if day["low"] > day["high"] or day["rain"] < 0:
        raise ValueError(f"impossible weather: {day}")
    return day


@pipeline.asset(partitions=MONTHS, run_in="loop")
def monthly(weather: dict[date, Day]) -> Output[Month]:
    """One month, summed up from its days."""
    rain_days = sum(day["rain"] > 0 for day in weather.values())
    month = Month(
        rain=round(sum(day["rain"] for day in weather.values()), 1),
        rain_days=rain_days,
        mean_high=sum(day["high"] for day in weather.values()) / len(weather),
        hottest=max((day["high"], when.isoformat()) for when, day in weather.items()),
        coldest=min((day["low"], when.isoformat()) for when, day in weather.items()),
        wettest=max((day["rain"], when.isoformat()) for when, day in weather.items()),
    )
    return Output(month, metadata={"days": len(weather), "rain_days": rain_days})


@pipeline.asset(run_in="loop")
def report(monthly: dict[date, Month]) -> Report:
    """The four years in a few figures."""
    years = sorted({when.year for when in monthly})
    by_year = {year: [month for when, month in monthly.items() if when.year == year] for year in years}
    totals = {when.strftime("%Y-%m"): month["rain"] for when, month in monthly.items()}
    return Report(
        hottest=max(month["hottest"] for month in monthly.values()),
        coldest=min(month["coldest"] for month in monthly.values()),
        wettest=max(month["wettest"] for month in monthly.values()),
        wettest_month=max((rain, name) for name, rain in totals.items()),
        driest_month=min((rain, name) for name, rain in totals.items()),
        rain_by_year={str(year): round(sum(m["rain"] for m in by_year[year]), 1) for year in years},
        rain_days_by_year={str(year): sum(m["rain_days"] for m in by_year[year]) for year in years},
        mean_high_by_year={
            str(year): round(sum(m["mean_high"] for m in by_year[year]) / len(by_year[year]), 1)
            for year in years
        },
        rain_by_month=[
            round(sum(m["rain"] for when, m in monthly.items() if when.month == number) / len(years), 1)
            for number in range(1, 13)
        ],
    )
