"""A daily asset that logs ten lines a step on Postgres, beside the same where nobody keeps what is logged."""

from __future__ import annotations

import asyncio
import logging
from datetime import date, timedelta
from typing import TYPE_CHECKING

from benchmarks.figure import Figure
from benchmarks.postgres import database
from benchmarks.timing import best, seconds
from flowstone import DailyPartitions, Pipeline, Runtime
from flowstone.runtime.execution.log_capture import LogCapture
from flowstone.runtime.services.attempt_logs import keeper_of_owner

if TYPE_CHECKING:
    from flowstone.runtime.services.attempt_logs import AttemptLogs

if TYPE_CHECKING:
    pass

LINES = 10
PARALLEL = 64

log = logging.getLogger("benchmarks.talking")


class Nowhere(logging.Handler):
    """Formats each record, as a handler of an application does, and writes it nowhere."""

    def emit(self, record: logging.LogRecord) -> None:
        self.format(record)


def talking(size: int, lines: int) -> Pipeline:
    """A daily asset whose function says something."""
    days = DailyPartitions(date(2000, 1, 1), date(2000, 1, 1) + timedelta(size - 1))
    pipeline = Pipeline("talking")

    @pipeline.asset(partitions=days)
    async def raw() -> int:
        for number in range(lines):
            log.info("read page %d of %s: %d rows", number, "orders", 1_000)
        return 1

    return pipeline


async def written(logs: AttemptLogs) -> None:
    """Return when nothing waits to be written."""
    some = asyncio.Event()
    logs.listeners[some.set] = None
    while logs.waiting:
        some.clear()
        await some.wait()
    del logs.listeners[some.set]


async def measure(*, quick: bool) -> list[Figure]:
    """µs per step of a backfill, until its lines are in."""
    size, rounds = (200, 2) if quick else (5_000, 7)
    handler = Nowhere()
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s %(message)s"))
    log.addHandler(handler)
    log.propagate = False
    log.setLevel(logging.INFO)
    figures = []
    for lines in (LINES, 0):
        with database() as url:
            async with Runtime(talking(size, lines), store=url) as runtime:

                async def kept(runtime: Runtime = runtime) -> None:
                    await runtime.backfill("raw", max_parallel=PARALLEL, refresh="all")
                    await written(runtime._ctx.logs)

                async def ours() -> float:
                    return await seconds(kept())

                async def bare(runtime: Runtime = runtime) -> float:
                    runtime._capture.release()
                    try:
                        return await seconds(kept())
                    finally:
                        runtime._capture = LogCapture.adopt(keeper_of_owner)

                await ours()
                times = await best(rounds, bare, ours)
                scale = 1e6 / size
                name = f"backfill of {size:,} steps that log {lines} lines each, {PARALLEL} at a time"
                figures.append(
                    Figure(name, "µs/step", times.ours * scale, times.bare * scale, ratio_at_most=1.05)
                )
    return figures
