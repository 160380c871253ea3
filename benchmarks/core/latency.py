"""One `materialize()` on a warm runtime, as a request handler calls it: p50 and p99."""

from __future__ import annotations

import asyncio
import gc
import time
from statistics import quantiles
from typing import TYPE_CHECKING

from benchmarks.figure import Figure
from benchmarks.functions import function
from flowstone import Pipeline, Runtime

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

QUOTE = function("quote")


async def measure(*, quick: bool) -> list[Figure]:
    """Microseconds a call; the baseline is a task whose result goes into a dict."""
    calls = 100 if quick else 3_000
    values: dict[str, int] = {}

    async def bare() -> None:
        values["quote"] = await asyncio.create_task(QUOTE())

    pipeline = Pipeline("latency")
    pipeline.asset(QUOTE)
    async with Runtime(pipeline) as runtime:
        ours = await percentiles(calls, lambda: runtime.materialize("quote"))
    base = await percentiles(calls, bare)
    return [
        Figure("one materialize(), p50", "µs", ours[0], base[0], at_most=100),
        Figure("one materialize(), p99", "µs", ours[1], base[1], at_most=round(3 * ours[0])),
    ]


async def percentiles(calls: int, call: Callable[[], Awaitable[object]]) -> tuple[float, float]:
    """p50 and p99 in µs, after a tenth of the calls to warm up."""
    for _ in range(calls // 10):
        await call()
    gc.collect()
    taken = []
    for _ in range(calls):
        began = time.process_time_ns()
        await call()
        taken.append((time.process_time_ns() - began) / 1e3)
    marks = quantiles(taken, n=100)
    return marks[49], marks[98]
