"""The right display for the place: a live bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import contextlib
import sys
from typing import TYPE_CHECKING, Protocol

import anyio

from flowstone.cli.labels import breakdown, duration, step_label
from flowstone.cli.loop import beside
from flowstone.cli.progress.live import LiveBar
from flowstone.counting import count, count_of
from flowstone.printable import one_line
from flowstone.runs.events import StepWaiting

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from flowstone.cli.progress.tally import Tally
    from flowstone.cli.screen import Screen
    from flowstone.runs.automation_events import Event

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
        self._shown_done = 0
        self._shown_at = 0.0

    def refresh(self) -> None:
        """Write what there is to say; nothing if nothing changed or the last line is too young."""
        tally = self._tally
        if tally.total and not self._announced:
            self._announced = True
            self._write(f"run {tally.run_id}: {count(tally.total, 'step')}")
        old_enough = tally.elapsed - self._shown_at >= _interval(tally.elapsed)
        if old_enough and tally.done != self._shown_done and tally.done < tally.total:
            self._shown_at, self._shown_done = tally.elapsed, tally.done
            self._write(self._line())

    def _line(self) -> str:
        tally = self._tally
        line = f"{count_of(tally.done, tally.total, 'step')}: {breakdown(tally.counts)}; {tally.rate:,.0f} steps/s"
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

_MOST_ASKED = 5
_MORE_ASKED = "More steps wait: `flowstone approvals` lists what is to be approved."


def what_it_waits_for(event: StepWaiting) -> str | None:
    """What a step waits for, with the command that answers it; None for a sleep, which ends by itself."""
    step, name = step_label(event.asset, event.partition_key), one_line(event.name)
    match event.waits_for:
        case "approval":
            message = one_line(str((event.about or {}).get("message") or ""))
            about = f" ({message})" if message else ""
            return f"{step} waits for the approval {name!r}{about}: `flowstone approve {event.id} --by NAME`"
        case "signal":
            return f"{step} waits for the signal {name!r}: `flowstone signal TOKEN JSON`, with its token"
        case _:
            return None


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
        asked: dict[
            str, None
        ] = {}  # What was told of: a step may wait for several things, one after the other.
        async for event in events:
            tally.apply(event)
            if isinstance(event, StepWaiting) and event.run_id == tally.run_id:
                wait = what_it_waits_for(event)
                if wait is not None and wait not in asked and len(asked) <= _MOST_ASKED:
                    asked[wait] = None
                    screen.note(wait if len(asked) <= _MOST_ASKED else _MORE_ASKED)

    async def draw() -> None:
        while True:
            await anyio.sleep(_FRAME)  # First: what takes less than a frame needs no display.
            display.refresh()

    try:
        async with beside(count, draw):
            yield display
    finally:
        display.close()
