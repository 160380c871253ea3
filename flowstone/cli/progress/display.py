"""The right display for the place: a live bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import contextlib
import sys
from typing import TYPE_CHECKING, Protocol

import anyio

from flowstone.cli.beside import beside
from flowstone.cli.progress.live import LiveBar
from flowstone.cli.progress.plain import PlainLines

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from flowstone.cli.progress.tally import Tally
    from flowstone.cli.screen import Screen
    from flowstone.runs.events import Event

__all__ = ["Display", "open_display"]

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
