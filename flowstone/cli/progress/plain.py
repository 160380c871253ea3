"""Progress where nothing can move: a line now and then, at most one a second however many steps there are."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flowstone.cli.labels import breakdown, count, duration

if TYPE_CHECKING:
    from collections.abc import Callable

    from flowstone.cli.progress.tally import Tally

__all__ = ["PlainLines"]


class PlainLines:
    """Writes lines such as `812 of 1,510 steps: 800 succeeded, 12 reused; 1,203 steps/s, 1 s left`.

    Args:
        tally: What to tell of.
        write: Takes one line.
        interval: Seconds between two lines at least.
    """

    def __init__(self, tally: Tally, write: Callable[[str], None], *, interval: float = 1.0) -> None:
        self._tally = tally
        self._write = write
        self._interval = interval
        self._announced = False
        self._told_done = 0
        self._told_at = 0.0

    def refresh(self) -> None:
        """Write what there is to say; nothing if nothing changed or the last line is too young."""
        tally = self._tally
        if tally.total and not self._announced:
            self._announced = True
            self._write(f"run {tally.run_id}: {count(tally.total, 'step')}")
        old_enough = tally.elapsed - self._told_at >= self._interval
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
