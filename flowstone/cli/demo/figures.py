"""The report in words and bars: extremes, and how much rain each month of the year brings."""

from __future__ import annotations

import calendar
from typing import TYPE_CHECKING

from rich.text import Text

if TYPE_CHECKING:
    from flowstone.cli.demo.pipeline import Report

__all__ = ["extremes", "rain_bars", "year_notes"]

_BARS = "▁▂▃▄▅▆▇█"
_ASCII_BARS = "_.-:=+*#"


def extremes(report: Report) -> Text:
    """The hottest, coldest and wettest days, the wettest and driest months."""
    lines = [
        ("hottest day", *report["hottest"], "°C"),
        ("coldest day", *report["coldest"], "°C"),
        ("wettest day", *report["wettest"], "mm"),
        ("wettest month", *report["wettest_month"], "mm"),
        ("driest month", *report["driest_month"], "mm"),
    ]
    text = Text(no_wrap=True)
    for number, (what, value, when, unit) in enumerate(lines):
        text.append("\n" if number else "")
        text.append(f"      {what:<15}", style="dim").append(f"{value:>6.1f} {unit}", style="bold").append(
            f"  {when}"
        )
    return text


def rain_bars(by_month: list[float], *, unicode: bool = True) -> Text:
    """Three lines: the months, a bar each, millimetres."""
    most = max(by_month) or 1.0
    shades = _BARS if unicode else _ASCII_BARS
    levels = [min(int(rain / most * len(shades)), len(shades) - 1) for rain in by_month]
    names = [calendar.month_abbr[number] for number in range(1, 13)]
    text = Text(no_wrap=True)
    text.append("rain  ", style="bold").append(" ".join(f"{name:>4}" for name in names) + "\n", style="dim")
    text.append("      ").append(" ".join(f" {shades[level] * 3}" for level in levels), style="blue")
    text.append("\n      ").append(" ".join(f"{rain:>4.0f}" for rain in by_month)).append(" mm", style="dim")
    return text


def year_notes(report: Report) -> dict[int, tuple[str, ...]]:
    """What stands beside each year of the calendar."""
    return {
        int(year): (
            f"mean high {high:.1f} °C",
            f"rain {report['rain_by_year'][year]:,.0f} mm",
            f"on {report['rain_days_by_year'][year]} days",
        )
        for year, high in report["mean_high_by_year"].items()
    }
