"""The demonstration: compute everything, then draw it. In memory, so nothing is left behind."""

from __future__ import annotations

import calendar
import os
from typing import TYPE_CHECKING, Any

from rich.text import Text

from flowstone.cli.demo.calendar import heat_map
from flowstone.cli.demo.pipeline import DAYS, pipeline
from flowstone.cli.labels import duration
from flowstone.cli.loading import Loaded
from flowstone.cli.outcome import show_outcome
from flowstone.cli.problem import OK
from flowstone.cli.serving.http import serve_http
from flowstone.cli.serving.stop_signals import GRACE, StopSignals
from flowstone.cli.session import open_runtime, perform
from flowstone.counting import count

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date

    from flowstone.cli.demo.pipeline import Report
    from flowstone.cli.screen import Screen
    from flowstone.cli.serving.http import Listening
    from flowstone.cli.session import Outcome
    from flowstone.runtime.runtime import Runtime

__all__ = ["extremes", "play", "rain_bars", "year_notes"]

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


TARGET = "flowstone.cli.demo:pipeline"

_NEXT = (
    (f"graph {TARGET}", "what depends on what"),
    (f"plan {TARGET} report --upstream", "what would run, and why"),
    (f"materialize {TARGET} monthly --partition 2014-07 --upstream", "one July, kept in .flowstone"),
    ("runs", "what has run here"),
)


async def play(screen: Screen, listening: Listening | None = None) -> None:
    """Backfill the months with their days, make the report, show both; then serve them where `listening` says."""
    loaded = Loaded(TARGET, pipeline)
    if not screen.json:
        screen.show(
            Text("Four years of weather in Seattle: 1,461 days, 48 months, one report.", style="bold")
        )
    async with open_runtime(screen, loaded, "memory://") as runtime:
        outcomes = [await perform(screen, runtime, lambda: runtime.backfill("monthly", upstream=True))]
        if outcomes[0].complete:
            outcomes.append(await perform(screen, runtime, lambda: runtime.materialize("report")))
        if not outcomes[-1].complete:
            show_outcome(screen, outcomes[-1])
            return
        report, highs = await _values(runtime)
        if screen.json:
            screen.document(_document(report, outcomes))
        else:
            _draw(screen, report, highs)
            _tell(screen, outcomes)
        if listening is not None:
            await _serve(screen, runtime, listening)


async def _serve(screen: Screen, runtime: Runtime, listening: Listening) -> None:
    """Show the runs on pages until somebody stops it."""
    signals = StopSignals(GRACE, GRACE, screen.note)
    signals.attach()
    async with serve_http(runtime, listening):
        screen.note(f"{listening.url} shows these runs; Ctrl-C ends it.", "bold")
        await signals.asked.wait()
    signals.done(OK)


async def _values(runtime: Runtime) -> tuple[Report, dict[date, float]]:
    highs = {day: (await runtime.load("weather", partition=day))["high"] for day in DAYS}
    report: Report = await runtime.load("report")
    return report, highs


def _draw(screen: Screen, report: Report, highs: dict[date, float]) -> None:
    console = screen.out
    coloured = console.color_system in {"256", "truecolor"} and not console.no_color
    unicode = not console.options.ascii_only
    picture = heat_map(highs, unit="°C", coloured=coloured, unicode=unicode, notes=year_notes(report))
    screen.show(
        "", picture, "", extremes(report), "", rain_bars(report["rain_by_month"], unicode=unicode), ""
    )


def _tell(screen: Screen, outcomes: Sequence[Outcome]) -> None:
    steps, seconds, each = _speed(outcomes)
    screen.show(
        Text.assemble(
            (f"{count(steps, 'step')} in {duration(seconds)}", "bold"),
            f", {each:,.0f} µs each: supervised, recorded, with lineage.",
        ),
        "",
        Text("Try next", style="bold"),
    )
    prefix = "uv run flowstone" if "UV_RUN_RECURSION_DEPTH" in os.environ else "flowstone"
    for command, what in _NEXT:
        screen.show(Text(f"  # {what}", style="dim"), f"  {prefix} {command}")


def _speed(outcomes: Sequence[Outcome]) -> tuple[int, float, float]:
    """Steps, seconds, and microseconds a step."""
    steps = sum(sum(outcome.counts.values()) for outcome in outcomes)
    seconds = sum(outcome.seconds for outcome in outcomes)
    return steps, seconds, seconds / steps * 1e6


def _document(report: Report, outcomes: Sequence[Outcome]) -> dict[str, Any]:
    steps, seconds, each = _speed(outcomes)
    return {
        "report": report,
        "runs": [outcome.run_id for outcome in outcomes],
        "steps": steps,
        "seconds": round(seconds, 6),
        "microseconds_per_step": round(each, 1),
    }
