"""Values by position, a million of them in little room: full pages of plain values are packed into bytes.

Numbers, text and None take a few bytes each once their page is full, instead of an object each. A page with
anything else in it stays a list of references: what such an object is, and whether it may be changed, is for its
owner to say.
"""

from __future__ import annotations

import marshal
from typing import Any, Final

__all__ = ["PAGE", "Packed"]

PAGE: Final = 1_024
"""Positions in a page."""

# Exactly these, and none of their subclasses: what marshal gives back equals them and has their type.
_PLAIN: Final = frozenset({type(None), bool, int, float, str, bytes})
_VERSION: Final = 2  # Of marshal's formats the last one without references between equal objects.


class Packed:
    """Values by position. They may come in any order; the fuller the pages, the less room they take."""

    __slots__ = ("_last", "_left", "_pages", "_unpacked")

    def __init__(self) -> None:
        self._pages: list[list[Any] | bytes] = []
        self._left: dict[int, int] = {}  # Pages that are not full -> how many values are missing.
        self._last = -1  # The page that was unpacked last, and what is in it.
        self._unpacked: list[Any] = []

    def put(self, position: int, value: Any) -> None:
        """Keep a value; once for each position."""
        number, place = divmod(position, PAGE)
        pages = self._pages
        while len(pages) <= number:
            self._left[len(pages)] = PAGE
            pages.append([None] * PAGE)
        page = pages[number]
        if type(page) is not list:
            page = pages[number] = self.page(number)
            self._left[number] = 1
        page[place] = value
        left = self._left.get(number, 1) - 1
        if left:
            self._left[number] = left
        else:
            self._left.pop(number, None)
            self._pack(number)

    def __getitem__(self, position: int) -> Any:
        """The value at a position; None where there is none."""
        number, place = divmod(position, PAGE)
        return self.page(number)[place] if number < len(self._pages) else None

    def page(self, number: int) -> list[Any]:
        """The values of one page, for reading."""
        page = self._pages[number]
        if isinstance(page, list):
            return page
        if number != self._last:
            self._unpacked = marshal.loads(page)  # noqa: S302 - its own bytes, of this process
            self._last = number
        return self._unpacked

    def pack(self) -> None:
        """Pack pages that will not become full."""
        for number in self._left:
            self._pack(number)
        self._left.clear()

    def _pack(self, number: int) -> None:
        page = self._pages[number]
        if type(page) is list and _PLAIN.issuperset(map(type, page)):
            self._pages[number] = marshal.dumps(page, _VERSION)
        if number == self._last:
            self._last = -1
