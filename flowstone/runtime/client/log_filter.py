"""The lines of a log that somebody looks for: those of a level, or with a text in them, wherever they stand.

A store keeps lines many in a row, so they are looked through here, page by page. Whoever reads gets the next lines
that fit, however many lie between; what is held for the end of an attempt fits as well.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any, Final, get_args

from flowstone.assets.partition_labels import step_label
from flowstone.errors import ArgumentError
from flowstone.frozen import frozen
from flowstone.remedies import Remedies
from flowstone.runs.log_line import LEVELS, LogLevel
from flowstone.store.logs import LogPage

if TYPE_CHECKING:
    from collections.abc import Callable

    from flowstone.runs.log_line import LogLine
    from flowstone.runtime.client.log_reader import Reader

__all__ = ["FilteredReader", "LogFilter"]

_PAGE: Final = 1_000


@frozen
class LogFilter:
    """Which lines are looked for.

    Attributes:
        least: The number of the lowest level.
        text: What they have in them, in lower case; empty: anything.
    """

    least: int
    text: str

    @classmethod
    def of(cls, level: object, contains: object) -> LogFilter | None:
        """As a caller wrote it; None where every line is looked for.

        Raises:
            ArgumentError: There is no such level, or what they contain is no text.
        """
        if level is not None and level not in get_args(LogLevel):
            known = f"one of {', '.join(get_args(LogLevel))}"
            raise ArgumentError(
                f"{level!r:.50} is no level of a log.", remedies=Remedies.takes("level", known)
            )
        if contains is not None and not isinstance(contains, str):
            raise ArgumentError(
                f"{contains!r:.50} is no text.",
                remedies=Remedies.takes("contains", "text that lines have in them"),
            )
        if level is None and not contains:
            return None
        least = next((number for name, number in LEVELS.items() if name == level), 0)
        return cls(least, (contains or "").lower())

    def fits(self, line: LogLine) -> bool:
        """Whether it is one of them: its message, fields, logger, traceback or step has the text."""
        if LEVELS[line.level] < self.least:
            return False
        return not self.text or self.text in line.message.lower() or self.text in _rest(line)


def _rest(line: LogLine) -> str:
    fields = " ".join(f"{name}={value}" for name, value in line.fields.items())
    return f"{step_label(line.asset, line.partition_key)} {fields}".lower()


class FilteredReader:
    """Reads what fits of a log.

    Args:
        reader: Reads the log.
        wanted: What fits.
    """

    def __init__(self, reader: Reader, wanted: LogFilter) -> None:
        self._reader = reader
        self._fits: Callable[[LogLine], Any] = wanted.fits

    async def page(self, after: int, limit: int) -> LogPage:
        """The next lines that fit; none only where there are none up to the end."""
        found: list[LogLine] = []
        while len(found) < limit:
            page = await self._reader.page(after, _PAGE)
            found += filter(self._fits, page.lines)
            after = page.end
            if not page.lines:
                break
        if len(found) > limit:
            del found[limit:]
            after = found[-1].number
        return LogPage(found, after)

    async def tail(self, limit: int) -> LogPage:
        """The newest lines that fit."""
        kept: deque[LogLine] = deque(maxlen=limit)
        after = 0
        while (page := await self._reader.page(after, _PAGE)).lines:
            kept.extend(filter(self._fits, page.lines))
            after = page.end
        # What is held is known by those alone that read the newest.
        newest, end = await self._reader.tail(_PAGE)
        kept.extend(line for line in newest if (line.held or line.number > after) and self._fits(line))
        return LogPage(list(kept), max(after, end))
