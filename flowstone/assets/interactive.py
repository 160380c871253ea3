"""Whether a definition is one that a person has run again: a notebook's cell, or a statement at a prompt.

Run again, a cell means its asset or automation as it is now. The same in a file is a mistake: two of one name.
"""

from __future__ import annotations

import re
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator
    from types import CodeType, FrameType

    from flowstone.assets.asset import SourceLine

__all__ = ["Cell", "Cells"]

# What Python, IPython, Jupyter, xeus, marimo and others call the source of what is typed or of a cell; the last
# of the first is a cell under `%%time`, and called the same for every one.
_PROMPT = re.compile(r"<(stdin|console|input|timed exec)>")
_CELL = re.compile(
    r"<(ipython-input|python-input|bpython-input|command)-.*>"
    r"|.*[/\\](ipython-input-[^/\\]*|(\.?ipykernel|xpython|marimo)[_/\\]\d+[/\\].*)"
)


class Cell(NamedTuple):
    """Where in a cell, or at a prompt, something is defined.

    Attributes:
        file: What the cell's code is called: the same as long as the cell is.
        line: Its line in the cell.
        code: The code that defined it; run again it is another one, even of the same text.
    """

    file: str
    line: int
    code: CodeType

    @classmethod
    def of(cls, frame: FrameType, source: SourceLine) -> Cell | None:
        """The cell of a definition in `__main__`; None for one in a file.

        Args:
            frame: The frame of the definition.
            source: The line of what is defined.
        """
        file = source.file
        if frame.f_globals.get("__name__") != "__main__" or not (
            _PROMPT.fullmatch(file) or _CELL.fullmatch(file)
        ):
            return None
        return cls(file, source.line, frame.f_code)

    def replaces(self, earlier: Cell) -> bool:
        """Whether this is a later definition of the same thing, and no second one beside it."""
        if self.code is earlier.code:  # A loop, or a function called twice.
            return False
        # One cell defines at two lines what has the same name; at a prompt every statement has the same file.
        beside = self.file == earlier.file and self.line != earlier.line
        return not beside or _PROMPT.fullmatch(self.file) is not None


class Cells:
    """The cells that the definitions of a pipeline come from."""

    def __init__(self) -> None:
        self._last: dict[Hashable, Cell] = {}

    @contextmanager
    def definition(self, what: Hashable, frame: FrameType, source: SourceLine) -> Iterator[bool]:
        """Whether what is defined within replaces what a cell has defined before; an error leaves all as it was.

        Args:
            what: What kind of thing it is, and its name.
            frame: The frame of the definition.
            source: The line of what is defined.
        """
        cell, earlier = Cell.of(frame, source), self._last.get(what)
        yield cell is not None and earlier is not None and cell.replaces(earlier)
        if cell is not None:
            self._last[what] = cell
