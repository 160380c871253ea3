"""One backfill spread over 1, 2 and 4 worker processes: steps that wait, and steps that compute."""

from __future__ import annotations

from contextlib import ExitStack

from benchmarks.figure import Figure
from benchmarks.node import CONCURRENCY, hours, pipeline, worker
from benchmarks.postgres import database
from benchmarks.timing import seconds
from flowstone import Runtime

BARE = {
    "sleeping": 5_000 / CONCURRENCY,
    "burning": 2_000,
}  # µs a step that one process takes at the very least.
WORDS = {"sleeping": "that sleep 5 ms", "burning": "that compute for 2 ms"}


async def measure(*, quick: bool) -> list[Figure]:
    """µs per step from `submit_backfill` to its end; bare is what the steps themselves take of one process."""
    size, rounds = (200, 1) if quick else (3_000, 3)
    figures = []
    with database() as url, ExitStack() as nodes:
        async with Runtime(pipeline(), store=url, worker=False) as client:

            async def run(asset: str, parallel: int, count: int) -> None:
                backfill = await client.submit_backfill(
                    asset, **hours(count), max_parallel=parallel, refresh="all"
                )
                await backfill.wait()

            alive = 0
            for count in (1, 2, 4):
                while alive < count:
                    nodes.enter_context(worker(url))
                    alive += 1
                for asset, bare in BARE.items():
                    parallel = CONCURRENCY * count
                    await run(asset, parallel, size // 10)
                    taken = min([await seconds(run(asset, parallel, size)) for _ in range(rounds)])
                    name = f"{size:,} steps {WORDS[asset]}, {count} worker{'s' * (count > 1)}"
                    figures.append(Figure(name, "µs/step", taken * 1e6 / size, bare))
    return figures
