"""The right display for the place: a live bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import contextlib
import sys
from typing import TYPE_CHECKING, Protocol

import anyio

from flowstone.cli.labels import breakdown, count, duration
from flowstone.cli.loop import beside
from flowstone.cli.progress.live import LiveBar

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from flowstone.cli.progress.tally import Tally
    from flowstone.cli.screen import Screen
    from flowstone.runs.events import Event

__all__ = ["Display", "PlainLines", "open_display"]


class PlainLines:
    """Writes lines such as `812 of 1,510 steps: 800 succeeded, 12 reused; 1,203 steps/s, 1 s left`.

    Args:
        tally: What to tell of.
        write: Takes one line.
    """

    def __init__(self, tally: Tally, write: Callable[[str], None]) -> None:
        self._tally = tally
        self._write = write
        self._announced = False
        self._told_done = 0
        self._told_at = 0.0

    def refresh(self) -> None:
        """Write what there is to say; nothing if nothing changed or the last line is too young."""
        tally = self._tally
        if tally.total and not self._announced:
            self._announced = True
            self._write(f"run {tally.run_id}: {count(tally.total, 'step')}")
        old_enough = tally.elapsed - self._told_at >= _interval(tally.elapsed)
        if old_enough and tally.done != self._told_done and tally.done < tally.total:
            self._told_at, self._told_done = tally.elapsed, tally.done
            self._write(self._line())

    def _line(self) -> str:
        tally = self._tally
        line = (
            f"{tally.done:,} of {tally.total:,} steps: {breakdown(tally.counts)}; {tally.rate:,.0f} steps/s"
        )
        if tally.remaining:
            line += f", {duration(max(round(tally.remaining), 1))} left"
        return line

    def close(self) -> None:
        """Nothing to clear away: the command's result follows."""


def _interval(elapsed: float) -> float:
    """Seconds between two lines: a log of ten seconds has ten lines, one of an hour has not four thousand."""
    if elapsed < 10:
        return 1.0
    return 5.0 if elapsed < 60 else 30.0


_FRAME = 0.1
"""Seconds between two pictures."""


class Display(Protocol):
    """Shows a tally."""

    def refresh(self) -> None: ...

    def close(self) -> None: ...


def _display(screen: Screen, tally: Tally) -> Display:
    if screen.live:
        return LiveBar(tally, screen.err, owns_stdout=sys.stdout.isatty())
    return PlainLines(tally, screen.note)


@contextlib.asynccontextmanager
async def open_display(screen: Screen, tally: Tally, events: AsyncIterator[Event]) -> AsyncIterator[Display]:
    """Feed `events` to `tally` and show it while the block runs; the terminal is clean afterwards."""
    display = _display(screen, tally)

    async def count() -> None:
        async for event in events:
            tally.apply(event)

    async def draw() -> None:
        while True:
            await anyio.sleep(_FRAME)  # First: what takes less than a frame needs no display.
            display.refresh()

    try:
        async with beside(count, draw):
            yield display
    finally:
        display.close()
