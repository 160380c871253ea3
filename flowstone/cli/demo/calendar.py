"""The heat map: every year a band of weeks from left to right, Monday to Sunday from top to bottom.

In colour two days share a character cell (the upper half block's foreground and background), which makes a
day a square and a year four lines high. Without colour a day has its own cell and one of five shades.
Notes beside a year start at column 62.
"""

from __future__ import annotations

from datetime import date, timedelta
from itertools import pairwise, zip_longest
from typing import TYPE_CHECKING

from rich.color import Color
from rich.style import Style
from rich.text import Text

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["colour", "glyph", "heat_map"]

_STOPS = (
    (0.00, (49, 54, 149)),
    (0.20, (69, 117, 180)),
    (0.40, (116, 173, 209)),
    (0.55, (254, 224, 144)),
    (0.70, (253, 174, 97)),
    (0.85, (244, 109, 67)),
    (1.00, (165, 0, 38)),
)
"""Cold to hot: blue over pale yellow to red, distinguishable with the common kinds of colour blindness."""

_SHADES = "·░▒▓█"
_ASCII_SHADES = ".:+#@"


def colour(value: float, low: float, high: float) -> tuple[int, int, int]:
    """Red, green and blue (0-255) of `value` on the scale from `low` to `high`, or of the nearer end."""
    position = _position(value, low, high)
    for (start, first), (end, last) in pairwise(_STOPS):
        if position <= end:
            share = (position - start) / (end - start)
            red, green, blue = (round(a + (b - a) * share) for a, b in zip(first, last, strict=True))
            return red, green, blue
    return _STOPS[-1][1]


def glyph(value: float, low: float, high: float, *, unicode: bool = True) -> str:
    """One of five characters, light to dark, for `value` on the scale from `low` to `high`."""
    shades = _SHADES if unicode else _ASCII_SHADES
    return shades[min(int(_position(value, low, high) * len(shades)), len(shades) - 1)]


def _position(value: float, low: float, high: float) -> float:
    """0.0 to 1.0; a scale without extent has everything in its middle."""
    if high <= low:
        return 0.5
    return min(max((value - low) / (high - low), 0.0), 1.0)


_LABEL = 6
_WEEKS = 54
_UPPER, _LOWER = "▀", "▄"


def heat_map(
    values: Mapping[date, float],
    *,
    unit: str,
    coloured: bool,
    unicode: bool = True,
    notes: Mapping[int, Sequence[str]] | None = None,
) -> Text:
    """Draw a calendar of `values`.

    Args:
        values: A number for each day; days without one stay blank.
        unit: What the legend calls the numbers, such as `°C`.
        coloured: Whether the terminal has at least 256 colours.
        unicode: Whether it shows block characters; only asked without colour.
        notes: For a year, up to four short lines to stand beside it.
    """
    low, high = min(values.values()), max(values.values())
    picture = Text(no_wrap=True)
    for year in sorted({day.year for day in values}):
        picture.append(_months(year) + "\n", style="dim")
        rows = (
            _coloured_rows(values, year, low, high)
            if coloured
            else _shaded_rows(values, year, low, high, unicode=unicode)
        )
        beside = (notes or {}).get(year, ())
        for label, row, note in zip_longest([str(year)], rows, beside[: len(rows)], fillvalue=""):
            picture.append_text(_line(label, row, note)).append("\n")
    return picture.append_text(_legend(low, high, unit, coloured=coloured, unicode=unicode))


def _line(label: str, row: Text | str, note: str) -> Text:
    line = Text(f"{label:<{_LABEL}}", style="bold", end="") if label else Text(" " * _LABEL)
    line = Text.assemble(line, row)
    if note:
        line.pad_right(_LABEL + _WEEKS + 1 - line.cell_len)
        line.append(f" {note}", style="dim")
    return line


def _column(day: date) -> int:
    """Which week of the year's band holds the day: weeks begin on Monday, the first may be short."""
    first = date(day.year, 1, 1)
    return ((day - first).days + first.weekday()) // 7


def _day(year: int, week: int, weekday: int) -> date | None:
    """The day at a place of the band, or None for the corners that belong to other years."""
    first = date(year, 1, 1)
    day = first + timedelta(days=week * 7 + weekday - first.weekday())
    return day if day.year == year else None


def _months(year: int) -> str:
    line = [" "] * (_LABEL + _WEEKS + 3)
    for month in range(1, 13):
        first = date(year, month, 1)
        start = _LABEL + _column(first) + (1 if first.weekday() else 0)
        line[start : start + 3] = first.strftime("%b")
    return "".join(line).rstrip()


def _coloured_rows(values: Mapping[date, float], year: int, low: float, high: float) -> list[Text]:
    rows = []
    for top in range(0, 7, 2):
        row = Text()
        for week in range(_WEEKS):
            upper = _shade(values, _day(year, week, top), low, high)
            lower = _shade(values, _day(year, week, top + 1), low, high) if top < 6 else None
            row.append(*_cell(upper, lower))
        row.rstrip()
        rows.append(row)
    return rows


def _shade(values: Mapping[date, float], day: date | None, low: float, high: float) -> Color | None:
    if day is None or day not in values:
        return None
    return Color.from_rgb(*colour(values[day], low, high))


def _cell(upper: Color | None, lower: Color | None) -> tuple[str, Style]:
    if upper is None and lower is None:
        return " ", Style()
    if upper is None:
        return _LOWER, Style(color=lower)
    return _UPPER, Style(color=upper, bgcolor=lower)


def _shaded_rows(
    values: Mapping[date, float], year: int, low: float, high: float, *, unicode: bool
) -> list[Text]:
    rows = []
    for weekday in range(7):
        days = [_day(year, week, weekday) for week in range(_WEEKS)]
        cells = [
            glyph(values[day], low, high, unicode=unicode) if day is not None and day in values else " "
            for day in days
        ]
        rows.append(Text("".join(cells).rstrip()))
    return rows


def _legend(low: float, high: float, unit: str, *, coloured: bool, unicode: bool) -> Text:
    steps = 24 if coloured else 5
    scale = [low + (high - low) * step / (steps - 1) for step in range(steps)]
    legend = Text(f"{'':<{_LABEL}}{low:.0f} {unit} ", no_wrap=True)
    for value in scale:
        if coloured:
            legend.append("█", Style(color=Color.from_rgb(*colour(value, low, high))))
        else:
            legend.append(glyph(value, low, high, unicode=unicode))
    return legend.append(f" {high:.0f} {unit}")
