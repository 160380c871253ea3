"""A worker process of the durable benchmarks: `python -m benchmarks.node URL [LEASE]`, until it is told to end."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
import time
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from flowstone import Context, HourlyPartitions, Pipeline, Run, RunCancelled, Runtime

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

__all__ = ["FIRST", "LEASE", "hours", "pipeline", "stopped", "until", "worker"]

LEASE = 3.0
SIZE = 100_000
FIRST = datetime(2010, 1, 1, tzinfo=UTC)
CONCURRENCY = 16


def pipeline() -> Pipeline:
    """What every node of these benchmarks has."""
    made = Pipeline("nodes")
    hours = HourlyPartitions(FIRST, FIRST + timedelta(hours=SIZE))

    @made.asset
    async def stamp() -> float:
        return time.time()

    @made.asset
    async def approved(context: Context) -> float:
        began = time.time()
        context.approval("publish")
        return began

    @made.asset(partitions=hours)
    async def sleeping() -> None:
        await asyncio.sleep(0.005)

    @made.asset(partitions=hours)
    async def burning() -> None:
        until = time.thread_time() + 0.002
        while time.thread_time() < until:
            pass

    return made


def hours(count: int) -> dict[str, datetime]:
    """The first so many partitions, for `submit_backfill`."""
    return {"start": FIRST, "end": FIRST + timedelta(hours=count - 1)}


async def until(true: Callable[[], Awaitable[bool]]) -> None:
    """Ask a database until it says so; nobody tells a stranger."""
    while not await true():  # noqa: ASYNC110 - it is not in this process that anything happens
        await asyncio.sleep(0.01)


async def stopped(run: Run) -> None:
    """Cancel a run and wait until it is over."""
    await run.cancel()
    with suppress(RunCancelled):
        await run.wait()


@contextmanager
def worker(url: str) -> Iterator[subprocess.Popen[bytes]]:
    """A worker process that is ready; killed in the end."""
    process = subprocess.Popen([sys.executable, "-m", "benchmarks.node", url], stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        yield process
    finally:
        process.kill()
        process.communicate()


async def main() -> None:
    """Work until SIGTERM."""
    ended = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set)
    async with Runtime(pipeline(), store=sys.argv[1], lease=LEASE, max_concurrency=CONCURRENCY):
        print("ready", flush=True)
        await ended.wait()


if __name__ == "__main__":
    asyncio.run(main())
