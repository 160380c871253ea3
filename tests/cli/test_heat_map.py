"""The demo's picture: what stands where, in colour and without."""

from __future__ import annotations

import io
from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from flowstone.cli.demo.calendar import colour, glyph, heat_map

YEAR = {date(2015, 1, 1) + timedelta(days=number): float(number) for number in range(365)}

SNAPSHOT = """\
       Jan Feb Mar  Apr May Jun  Jul Aug  Sep Oct Nov  Dec
2015   ··········░░░░░░░░░░░▒▒▒▒▒▒▒▒▒▒▓▓▓▓▓▓▓▓▓▓▓██████████   warm
       ··········░░░░░░░░░░░▒▒▒▒▒▒▒▒▒▒▓▓▓▓▓▓▓▓▓▓███████████   dry
       ··········░░░░░░░░░░▒▒▒▒▒▒▒▒▒▒▒▓▓▓▓▓▓▓▓▓▓███████████
      ···········░░░░░░░░░░▒▒▒▒▒▒▒▒▒▒▒▓▓▓▓▓▓▓▓▓▓███████████
      ···········░░░░░░░░░░▒▒▒▒▒▒▒▒▒▒▒▓▓▓▓▓▓▓▓▓▓██████████
      ···········░░░░░░░░░░▒▒▒▒▒▒▒▒▒▒▓▓▓▓▓▓▓▓▓▓▓██████████
      ··········░░░░░░░░░░░▒▒▒▒▒▒▒▒▒▒▓▓▓▓▓▓▓▓▓▓▓██████████
      0 °C ·░▒▓█ 364 °C"""


def drawn(text, **options):
    """What a terminal of 80 columns would show."""
    stream = io.StringIO()
    Console(file=stream, width=80, legacy_windows=False, **options).print(text)
    return stream.getvalue()


def test_without_colour():
    """Every day has its own character, weeks run from left to right and the notes stand beside."""
    picture = drawn(
        heat_map(YEAR, unit="°C", coloured=False, notes={2015: ["warm", "dry"]}), color_system=None
    )
    lines = [line.rstrip() for line in picture.rstrip().splitlines()]
    assert lines == [line.rstrip() for line in SNAPSHOT.splitlines()]


def test_in_colour_a_year_is_four_lines_of_half_blocks():
    """Two days share a cell: the upper one is the foreground, the lower one the background."""
    picture = heat_map(YEAR, unit="°C", coloured=True)
    lines = picture.plain.splitlines()
    assert len(lines) == 1 + 4 + 1
    assert sum(line.count("▀") + line.count("▄") for line in lines) >= 53 * 3
    first = next(span for span in picture.spans if picture.plain[span.start] in "▀▄" and span.style.color)
    assert first.style.color.triplet is not None


@pytest.mark.parametrize(("system", "code", "days"), [("truecolor", "38;2;", 365), ("256", "38;5;", 200)])
def test_colours_fit_the_terminal(system, code, days):
    """24-bit colour where there is one, the nearest of 256 elsewhere."""
    values = {
        day: value for day, value in YEAR.items() if value < days
    }  # rich remembers how it drew a colour
    text = drawn(heat_map(values, unit="°C", coloured=True), force_terminal=True, color_system=system)
    assert code in text


def test_without_unicode_it_is_ascii():
    """A terminal that knows nothing but ASCII gets shades it can show."""
    assert heat_map(YEAR, unit="C", coloured=False, unicode=False).plain.isascii()


@pytest.mark.parametrize("coloured", [True, False])
@given(days=st.dictionaries(st.dates(date(2000, 1, 1), date(2003, 12, 31)), st.floats(-50, 50), min_size=1))
def test_it_fits_80_columns_and_forgets_no_day(coloured, days):
    """Any set of days fits the terminal, and each has its mark."""
    notes = {day.year: ["x" * 18] for day in days}
    lines = heat_map(days, unit="°C", coloured=coloured, notes=notes).plain.splitlines()
    assert max(map(len, lines)) <= 80
    if not coloured:
        marks = "".join(line[6:60] for line in lines[:-1] if not line.lstrip().startswith("Jan"))
        assert sum(mark in "·░▒▓█" for mark in marks) == len(days)


def test_scale():
    """The ends of the scale have the ends' colours and glyphs; beyond them nothing changes."""
    assert colour(0, 0, 10) == (49, 54, 149) == colour(-5, 0, 10)
    assert colour(10, 0, 10) == (165, 0, 38) == colour(50, 0, 10)
    assert [glyph(value, 0, 10) for value in (0, 3, 5, 7, 10, 99)] == ["·", "░", "▒", "▓", "█", "█"]
    assert glyph(1, 1, 1) == "▒"
