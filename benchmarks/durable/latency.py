"""One `materialize()` on Postgres, as a request handler calls it: p50 and p99."""

from __future__ import annotations

from benchmarks.core.latency import percentiles
from benchmarks.figure import Figure
from benchmarks.functions import function
from benchmarks.postgres import bare, batches, database, prepared
from flowstone import Pipeline, Runtime


async def measure(*, quick: bool) -> list[Figure]:
    """Milliseconds a call; the baseline commits the same rows in as many transactions."""
    calls = 20 if quick else 1_000
    pipeline = Pipeline("latency")
    pipeline.asset(function("quote"))
    with database() as url:
        connection = await prepared(url)
        async with Runtime(pipeline, store=url) as runtime:
            await runtime.materialize("quote")
            with batches() as seen:
                await runtime.materialize("quote")
            ours = await percentiles(calls, lambda: runtime.materialize("quote"))
        base = await percentiles(calls, lambda: bare(connection, seen.sent))
        await connection.close()
    return [
        Figure("one materialize(), p50", "ms", ours[0] / 1e3, base[0] / 1e3),
        Figure("one materialize(), p99", "ms", ours[1] / 1e3, base[1] / 1e3),
    ]
