"""A run of many short steps that fifty browsers look at, beside the same where nobody looks."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from datetime import date, timedelta
from typing import TYPE_CHECKING

from benchmarks.figure import Figure
from benchmarks.pages.serving import serving, until
from benchmarks.postgres import database
from benchmarks.timing import best, seconds
from flowstone import DailyPartitions, Pipeline, Runtime

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

BROWSERS = 50
PARALLEL = 64
CLIENTS = """
import asyncio, sys
async def look(port, path):
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"GET {path} HTTP/1.1\\r\\nHost: 127.0.0.1\\r\\nAccept-Encoding: gzip\\r\\n\\r\\n".encode())
    await reader.readuntil(b"data:")
    while await reader.read(65536):
        pass
async def main(port, path, many):
    looking = [asyncio.create_task(look(port, path)) for _ in range(many)]
    await asyncio.gather(*looking, return_exceptions=False)
asyncio.run(main(int(sys.argv[1]), sys.argv[2], int(sys.argv[3])))
"""


class Gate:
    """A daily asset whose steps begin when they may."""

    def __init__(self, size: int) -> None:
        self.open = asyncio.Event()
        self.pipeline = Pipeline("busy")
        days = DailyPartitions(date(2000, 1, 1), date(2000, 1, 1) + timedelta(size - 1))

        @self.pipeline.asset(partitions=days)
        async def raw() -> int:
            await self.open.wait()
            return 1


@contextlib.asynccontextmanager
async def looking(app, port: int, path: str, many: int) -> AsyncIterator[None]:
    """So many browsers, as a process of its own, that look at a page."""
    if not many:
        yield
        return
    clients = await asyncio.create_subprocess_exec(
        sys.executable, "-c", CLIENTS, str(port), f"/live{path}", str(many)
    )
    await until(lambda: sum(app.state.renderings.watched.values()) >= many)
    try:
        yield
    finally:
        clients.kill()
        await clients.wait()
        await until(lambda: not app.state.renderings.watched)


async def measure(*, quick: bool) -> list[Figure]:
    """µs per step of a backfill."""
    size, rounds = (300, 2) if quick else (10_000, 5)
    figures = [await looked_at("memory://", "memory", size, rounds)]
    with database() as url:
        figures.append(await looked_at(url, "Postgres", size, rounds))
    return figures


async def looked_at(url: str, store: str, size: int, rounds: int) -> Figure:
    """The same on one store."""
    gate = Gate(size)
    async with Runtime(gate.pipeline, store=url) as runtime, serving(runtime) as (app, port):

        async def once(many: int) -> float:
            gate.open.clear()
            run = await runtime.submit_backfill("raw", refresh="all", max_parallel=PARALLEL)
            async with looking(app, port, f"/runs/{run.id}", many):
                gate.open.set()
                return await seconds(run.wait())

        times = await best(rounds, lambda: once(0), lambda: once(BROWSERS))
    scale = 1e6 / size
    name = f"backfill of {size:,} steps on {store} that {BROWSERS} browsers look at"
    return Figure(name, "µs/step", times.ours * scale, times.bare * scale, ratio_at_most=1.05)
