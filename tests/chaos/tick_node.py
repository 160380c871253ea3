"""A node that fires and looks: `python -m tests.chaos.tick_node URL DIRECTORY CLOCK`, until killed or stdin closes.

Its wall clock is a minute fast for each second, so that a schedule, which has no seconds, fires each second.
"""

from __future__ import annotations

import asyncio
import os
import sys
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

from flowstone import Pipeline, RunRequest, Runtime
from flowstone.actors.clock import SystemClock

__all__ = ["LEASE", "PACE", "START", "FastClock", "make"]

LEASE = 1.0
PACE = 60.0
START = datetime(2025, 3, 1, tzinfo=UTC)


class FastClock(SystemClock):
    """Shows START at an instant that a file says, and a minute more each second; off by as much as a file says."""

    __slots__ = ("_begin", "_offset")

    def __init__(self, place: Path, offset: Path) -> None:
        self._begin = datetime.fromtimestamp(float((place / "begin").read_text()), UTC)
        self._offset = offset

    def now(self) -> datetime:
        shown = START + (super().now() - self._begin) * PACE
        with suppress(OSError, ValueError):
            return shown + timedelta(seconds=float(self._offset.read_text()))
        return shown


def make(place: Path) -> Pipeline:
    """A schedule that asks for its tick, and a sensor that asks for each number that has been written down."""
    pipeline = Pipeline("ticks")

    @pipeline.asset
    async def tock() -> int:
        return 1

    @pipeline.asset
    async def number() -> int:
        return 1

    @pipeline.schedule("each-minute", cron="* * * * *", overlap="allow", catch_up="all")
    async def each_minute(tick):
        return RunRequest("tock", partition=tick.scheduled_at.isoformat(), refresh="all", join=False)

    @pipeline.sensor("numbers", every=0.2, limit=7)
    async def numbers(context):
        last = int((place / "last").read_text())
        for each in range((context.cursor or 0) + 1, last + 1):
            yield RunRequest("number", partition=str(each), refresh="all", join=False)
            context.cursor = each

    return pipeline


async def work(url: str, place: Path, offset: Path) -> None:
    """One node."""
    asyncio.get_running_loop().add_reader(sys.stdin.fileno(), os._exit, 1)  # Whoever started it is gone.
    async with Runtime(
        make(place), store=url, clock=FastClock(place, offset), automate=True, lease=LEASE, keep_runs=100_000
    ):
        print("ready", flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(work(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])))
