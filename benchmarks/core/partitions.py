"""The plan of a backfill of 1,000,000 hourly partitions: ranges and arithmetic, never a list of a million."""

from __future__ import annotations

import gc
import time
from datetime import UTC, datetime, timedelta

from benchmarks.core.memory import resident
from benchmarks.figure import Figure
from benchmarks.functions import function
from flowstone import HourlyPartitions, Pipeline, Runtime

FIRST = datetime(1990, 1, 1, tzinfo=UTC)


async def measure(*, quick: bool) -> list[Figure]:
    """Milliseconds to plan, and megabytes the plan holds."""
    size, rounds = (10_000, 2) if quick else (1_000_000, 5)
    hours = HourlyPartitions(FIRST, FIRST + timedelta(hours=size - 1))
    pipeline = Pipeline("partitions")
    pipeline.asset(function("raw"), partitions=hours)
    pipeline.asset(function("clean", ["raw"], "return raw + 1"), partitions=hours)
    taken = []
    async with Runtime(pipeline) as runtime:
        before = resident()
        for _ in range(rounds):
            gc.collect()
            began = time.perf_counter()
            plan = await runtime.plan("clean")
            taken.append(time.perf_counter() - began)
            assert len(plan) == size
        held = resident() - before
    return [
        Figure(f"plan of a backfill of {size:,} partitions", "ms", min(taken) * 1e3, at_most=100),
        Figure("memory held by that plan", "MB", held, at_most=50),
    ]
