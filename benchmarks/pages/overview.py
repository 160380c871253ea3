"""The overview of 300 assets of 365 partitions on Postgres, while something happens all the time."""

from __future__ import annotations

import asyncio
import statistics
from datetime import date, timedelta

import httpx2

from benchmarks.figure import Figure
from benchmarks.pages.serving import serving
from benchmarks.postgres import database
from benchmarks.timing import seconds
from flowstone import DailyPartitions, Pipeline, Runtime

DAYS = DailyPartitions(date(2025, 1, 1), date(2025, 1, 1) + timedelta(364))


def many(number: int) -> Pipeline:
    """Daily assets that need nothing."""
    pipeline = Pipeline("many")
    for each in range(number):
        pipeline.asset(name=f"asset_{each:03}", partitions=DAYS)(lambda: 1)
    return pipeline


async def measure(*, quick: bool) -> list[Figure]:
    """How long a request takes."""
    number, rounds = (10, 3) if quick else (300, 40)
    with database() as url:
        async with Runtime(many(number), store=url) as runtime, serving(runtime) as (_, port):
            for each in range(number):
                await runtime.backfill(f"asset_{each:03}", max_parallel=64)

            async def happening() -> None:
                while True:
                    await runtime.materialize("asset_000", partition="2025-06-01")

            async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
                first = await seconds(client.get("/"))
                working = asyncio.create_task(happening())
                found = [await seconds(client.get("/")) for _ in range(rounds)]
                working.cancel()
    what = f"overview of {number} assets of 365 partitions"
    return [
        Figure(f"{what}, first time in a process", "ms", first * 1_000),
        Figure(f"{what}, median", "ms", statistics.median(found) * 1_000, at_most=100),
        Figure(f"{what}, slowest of {rounds}", "ms", max(found) * 1_000),
    ]
