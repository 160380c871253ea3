"""The tables of `docs/lifecycle.md` that say who moves what, for tests that hold the code to them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

__all__ = ["PAGE", "PICTURE", "Move", "moves_of"]

PAGE = Path(__file__).parents[1] / "docs" / "lifecycle.md"
PICTURE = PAGE.with_suffix(".svg")


class Move(NamedTuple):
    """From one status to another.

    Attributes:
        before: The status; empty before the first one.
        after: The status that follows.
        told: The kind of the event that tells of it; empty if none does.
    """

    before: str
    after: str
    told: str

    def __str__(self) -> str:
        return f"{self.before or '-'} to {self.after}" + (f" by {self.told}" if self.told else "")


def moves_of(section: str) -> list[Move]:
    """The rows of the table *Who moves it* of one section of the page, which is named by its heading."""
    text = PAGE.read_text(encoding="utf-8").partition(f"\n## {section}\n")[2].partition("\n## ")[0]
    table = text.partition("| from | to | told by |")[2].partition("\n\n")[0]
    rows = [[cell.strip() for cell in line.split("|")[1:4]] for line in table.splitlines()[2:]]
    moves = [Move(*(re.sub(r"^`(.*)`$", r"\1", cell) for cell in row)) for row in rows]
    assert moves, f"there is no such table in {section!r}"
    return moves
