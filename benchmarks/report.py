"""Prints figures: as a table for people, as Markdown for documents, as JSON for programs."""

from __future__ import annotations

import json
import os
import platform
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.metadata import version
from typing import NamedTuple

from rich.console import Console
from rich.table import Table

from benchmarks.figure import Figure

__all__ = ["Row", "as_json", "as_markdown", "as_table"]

HEADINGS = ("what", "loop", "FlowStone", "bare", "ratio", "unit", "target", "verdict")
NUMBERS = {"FlowStone", "bare", "ratio"}
COLOURS = {"stretch": "bold green", "met": "green", "MISSED": "bold red", "-": "dim"}


class Row(NamedTuple):
    """A figure and the loop it was taken on; `-` where no loop matters."""

    loop: str
    figure: Figure


def circumstances() -> dict[str, object]:
    """When, where and with what."""
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "flowstone": version("flowstone"),
        "python": platform.python_version(),
        "system": platform.system(),
        "cores": os.cpu_count(),
        "load": round(os.getloadavg()[0], 1) if hasattr(os, "getloadavg") else None,
    }


def as_json(rows: list[Row]) -> str:
    """One document: the circumstances and every figure with its ratio and verdict."""
    figures = [
        {"loop": loop, **asdict(figure), "ratio": figure.ratio, "verdict": figure.verdict}
        for loop, figure in rows
    ]
    return json.dumps({**circumstances(), "figures": figures}, indent=2)


def cells(row: Row, *, judged: bool) -> tuple[str, ...]:
    """A row of either table; without its verdict if the sizes were too small to judge by."""
    loop, figure = row
    ratio = "" if figure.ratio is None else f"{figure.ratio:.1f}×"
    verdict = figure.verdict if judged else "-"
    return (
        figure.name,
        loop,
        amount(figure.ours),
        amount(figure.bare),
        ratio,
        figure.unit,
        figure.target,
        verdict,
    )


def as_table(rows: list[Row], *, judged: bool) -> None:
    """Print a table to the terminal."""
    table = Table(title="FlowStone " + ", ".join(f"{key} {value}" for key, value in circumstances().items()))
    for heading in HEADINGS:
        table.add_column(heading, justify="right" if heading in NUMBERS else "left")
    for row in rows:
        *plain, verdict = cells(row, judged=judged)
        table.add_row(*plain, f"[{COLOURS[verdict]}]{verdict}[/]")
    Console(width=None if Console().is_terminal else 140).print(table)


def as_markdown(rows: list[Row], *, judged: bool) -> str:
    """The table of README.md."""
    ruler = ("---:" if heading in NUMBERS else "---" for heading in HEADINGS)
    lines = (HEADINGS, ruler, *(cells(row, judged=judged) for row in rows))
    told = ", ".join(f"{key} {value}" for key, value in circumstances().items())
    return "\n".join([f"{told}:", "", *("| " + " | ".join(line) + " |" for line in lines)])


def amount(value: float | None) -> str:
    """Three significant figures, never in exponent form."""
    if value is None:
        return ""
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"
