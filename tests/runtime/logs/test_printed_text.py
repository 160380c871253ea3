"""Pieces of text that are written, and the lines that they come to."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from flowstone.runtime.execution.printed_text import PrintedText


def lines_of(pieces):
    """All lines, the last one too if nobody has ended it."""
    printed = PrintedText()
    lines = [line for piece in pieces for line in printed.add("stdout", piece)]
    return lines + [text for _, text in printed.rest()]


@given(st.lists(st.text("a.\n\r", max_size=5), max_size=20))
def test_however_a_text_is_cut_it_comes_to_the_same_lines(pieces):
    """Carriage returns and line feeds that are written apart as well."""
    assert lines_of(pieces) == lines_of(["".join(pieces)])


def test_a_line_that_is_begun_is_not_copied_with_each_piece():
    """So a hundred thousand dots cost what as many lines do; a line that does not end is cut."""
    printed = PrintedText()
    pieces = ["." for _ in range(65_000)]
    assert [line for piece in pieces for line in printed.add("stdout", piece)] == []
    (begun,) = printed._begun.values()
    assert len(begun.pieces) > 60_000
    assert printed.add("stdout", "\n") == ["." * 65_000]
    assert lines_of(["." * 40_000] * 2) == ["." * 80_000]
