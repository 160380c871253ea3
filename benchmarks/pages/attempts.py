"""A run of 50,000 attempts on Postgres: its page, its timeline, and what a page that is open is sent at first."""

from __future__ import annotations

import gzip
from datetime import date, timedelta

import httpx2

from benchmarks.figure import Figure
from benchmarks.pages.serving import serving
from benchmarks.postgres import database
from benchmarks.timing import seconds
from flowstone import DailyPartitions, Pipeline, Runtime


async def measure(*, quick: bool) -> list[Figure]:
    """What is asked for, and how large the answer is."""
    size = 1_000 if quick else 50_000
    days = DailyPartitions(date(1900, 1, 1), date(1900, 1, 1) + timedelta(size - 1))
    pipeline = Pipeline("large")

    @pipeline.asset(partitions=days)
    async def raw() -> int:
        return 1

    with database() as url:
        async with Runtime(pipeline, store=url) as runtime, serving(runtime) as (_, port):
            result = await runtime.backfill("raw", max_parallel=64)
            async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=120) as client:
                path = f"/runs/{result.run_id}"
                page = await seconds(client.get(path))
                bars = await seconds(client.get(f"{path}/bars"))
                again = await seconds(client.get(f"{path}/bars"))
                text = (await client.get(f"{path}/bars")).content
    what = f"run of {size:,} attempts"
    return [
        Figure(f"{what}: its page", "ms", page * 1_000, at_most=300),
        Figure(f"{what}: its timeline, read for the first time", "ms", bars * 1_000),
        Figure(f"{what}: its timeline, for the next one who looks", "ms", again * 1_000),
        Figure(f"{what}: its timeline, compressed", "kB", len(gzip.compress(text)) / 1_000),
    ]
