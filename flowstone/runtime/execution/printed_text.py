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


class PrintedText:
    """What one attempt has written to its streams and not ended with a line feed."""

    def __init__(self) -> None:
        self._begun: dict[tuple[Stream, int], str] = {}

    def add(self, stream: Stream, text: str) -> list[str]:
        """More was written; returns the lines that are complete."""
        place = stream, threading.get_ident()
        text = self._begun.pop(place, "") + text
        if "\r" in text:
            text = text.replace("\r\n", "\n")
        *lines, rest = text.split("\n")
        if len(rest) > _LONGEST:
            rest = rest.rpartition("\r")[2]
        if len(rest) > _LONGEST:
            lines.append(rest)
        elif rest:
            self._begun[place] = rest
        return [_shown(line) for line in lines]

    def rest(self) -> Iterator[tuple[Stream, str]]:
        """What nobody has ended, which is no more to come."""
        while self._begun:
            (stream, _), text = self._begun.popitem()
            yield stream, _shown(text)


def _shown(line: str) -> str:
    """What is seen of a line when it is complete."""
    if "\r" not in line:
        return line
    return line.rstrip("\r").rpartition("\r")[2]
