"""A process that keeps to a rate: `python -m tests.cluster.caller DSN SECONDS`.

It wants several turns at a time, and prints when each of them was, by the clock of the machine.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time

from flowstone import Context, Pipeline, Runtime

__all__ = ["LIMIT"]

LIMIT = 100
TASKS = 50

pipeline = Pipeline("caller")
pipeline.rate("api", limit=LIMIT, per=1.0)


@pipeline.asset
async def calls(seconds_from: float, context: Context) -> int:
    """Prints the instants of all turns; what the store has as current is that of whoever was last."""
    turns: list[float] = []

    async def call() -> None:
        while True:
            async with context.limit("api"):
                now = time.monotonic()
                if now > seconds_from:
                    return
                turns.append(now)

    await asyncio.gather(*(call() for _ in range(TASKS)))
    print(json.dumps(turns), flush=True)
    return len(turns)


@pipeline.asset
async def seconds_from() -> float:
    """When to stop."""
    return time.monotonic() + float(sys.argv[2])


async def main(dsn: str) -> None:
    """Call, and say when."""
    async with Runtime(pipeline, store=dsn, worker=False, shutdown_timeout=0.5) as runtime:
        await runtime.materialize_all("calls")


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
