"""Progress on a terminal: a bar that moves, the counts, what is running now."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from flowstone.cli.labels import duration
from flowstone.counting import count

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

    from flowstone.cli.progress.tally import Tally

__all__ = ["LiveBar", "picture"]

_STYLES = (
    ("succeeded", "green"),
    ("reused", "cyan"),
    ("failed", "bold red"),
    ("skipped", "yellow"),
    ("cancelled", "magenta"),
)


class LiveBar:
    """A display that redraws itself in place on `console`, and is gone when closed.

    Args:
        tally: What to show.
        console: The terminal.
        owns_stdout: Whether stdout is that terminal too, so that what a pipeline prints goes above the bar.
    """

    def __init__(self, tally: Tally, console: Console, *, owns_stdout: bool) -> None:
        self._started = False
        self._live = Live(
            console=console,
            auto_refresh=False,
            transient=True,
            redirect_stdout=owns_stdout,
            redirect_stderr=True,
            get_renderable=lambda: picture(tally, console.width),
        )

    def refresh(self) -> None:
        """Draw; nothing is shown before the first time."""
        if not self._started:
            self._started = True
            self._live.start()
        self._live.refresh()

    def close(self) -> None:
        """Take the display away and show the cursor again."""
        if self._started:
            self._live.stop()


def picture(tally: Tally, width: int) -> RenderableType:
    """What the display looks like: three lines, the third only while steps run or wait."""
    lines: list[RenderableType] = [_bar(tally, width), _counts(tally)]
    if tally.running:
        lines.append(Text(f"running {tally.under_way()}", style="dim", no_wrap=True, overflow="ellipsis"))
    elif tally.waiting:
        lines.append(Text(f"waiting {tally.waits()}", style="dim", no_wrap=True, overflow="ellipsis"))
    return Group(*lines)


def _bar(tally: Tally, width: int) -> RenderableType:
    grid = Table.grid(padding=(0, 1))
    grid.add_column(no_wrap=True)
    grid.add_column(no_wrap=True)
    grid.add_column(no_wrap=True)
    bar = ProgressBar(
        total=tally.total or None,
        completed=tally.done,
        width=max(10, min(40, width - 45)),
        pulse=not tally.total,
        complete_style="green" if not tally.counts["failed"] else "red",
        finished_style="green" if not tally.counts["failed"] else "red",
    )
    grid.add_row(
        bar, f"{tally.done:,}/{count(tally.total, 'step')}" if tally.total else "starting", _speed(tally)
    )
    return grid


def _speed(tally: Tally) -> Text:
    if not tally.done:
        return Text(duration(tally.elapsed), style="dim")
    text = f"{tally.rate:,.0f}/s" if tally.rate >= 10 else f"{tally.rate:.1f}/s"
    if tally.remaining:
        text += f"  {duration(max(round(tally.remaining), 1))} left"
    return Text(text, style="dim")


def _counts(tally: Tally) -> Text:
    parts = [
        Text(f"{tally.counts[name]:,} {name}", style=style) for name, style in _STYLES if tally.counts[name]
    ]
    if tally.retries:
        parts.append(Text(f"{tally.retries:,} retried", style="yellow"))
    return Text("  ").join(parts or [Text("no step has ended", style="dim")])
