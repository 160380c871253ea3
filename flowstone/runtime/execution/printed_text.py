"""Text that is written piece by piece, as the lines that it comes to.

Each thread writes lines of its own: pieces of two of them are not put together. A carriage return begins the line
again, as on a terminal, so that of a progress bar its last state is left.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flowstone.runtime.execution.log_capture import Stream

__all__ = ["PrintedText"]

_LONGEST: Final = 65_536  # Characters of a line that nobody has ended.


class _Begun:
    """A line that nobody has ended yet, piece by piece."""

    __slots__ = ("length", "pieces")

    def __init__(self, text: str = "") -> None:
        self.pieces = [text]
        self.length = len(text)


class PrintedText:
    """What one attempt has written to its streams and not ended with a line feed."""

    def __init__(self) -> None:
        self._begun: dict[tuple[Stream, int], _Begun] = {}

    def add(self, stream: Stream, text: str) -> list[str]:
        """More was written; returns the lines that are complete."""
        place = stream, threading.get_ident()
        begun = self._begun.get(place)
        if begun is None:
            begun = self._begun[place] = _Begun()
        begun.pieces.append(text)
        begun.length += len(text)
        if "\n" not in text and begun.length <= _LONGEST:
            return []  # Most often; what is begun is put together once.
        del self._begun[place]
        text = "".join(begun.pieces)
        if "\r" in text:
            text = text.replace("\r\n", "\n")
        *lines, rest = text.split("\n")
        if len(rest) > _LONGEST:
            rest = rest.rpartition("\r")[2]
        if len(rest) > _LONGEST:
            lines.append(rest)
        elif rest:
            self._begun[place] = _Begun(rest)
        return [_shown(line) for line in lines]

    def rest(self) -> Iterator[tuple[Stream, str]]:
        """What nobody has ended, which is no more to come."""
        while self._begun:
            (stream, _), begun = self._begun.popitem()
            if text := "".join(begun.pieces):
                yield stream, _shown(text)


def _shown(line: str) -> str:
    """What is seen of a line when it is complete."""
    if "\r" not in line:
        return line
    return line.rstrip("\r").rpartition("\r")[2]
