"""A process on a `file://` store: `python -m tests.chaos.file_writer STORE LEDGER`, until it is killed or refused.

It materializes without a pause, and after each acknowledgement notes the run, and when its call began and ended, by
a clock that all processes share. Refused by the store it prints why, and ends with status 3.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from itertools import count
from pathlib import Path

from flowstone import Context, Pipeline, Runtime
from flowstone.errors import FlowstoneError

CALLERS = 4
KEEP_RUNS = 400  # Few, so that there is much to compact.
REFUSED = 3


def make() -> Pipeline:
    """One asset, whose partitions are whatever it is asked for."""
    pipeline = Pipeline("files")

    @pipeline.asset
    async def item(context: Context) -> str | None:
        return context.partition_key

    return pipeline


async def work(place: Path, ledger: int) -> None:
    """Until the store refuses."""
    numbers = count()
    async with Runtime(make(), store=f"file://{place}", keep_runs=KEEP_RUNS, shutdown_timeout=1.0) as runtime:
        print("ready", flush=True)

        async def caller() -> None:
            while True:
                began = time.monotonic()
                made = await runtime.materialize("item", partition=next(numbers) % 50)
                os.write(ledger, f"{made.run_id} {began} {time.monotonic()}\n".encode())
                os.fsync(ledger)

        try:
            await asyncio.gather(*(caller() for _ in range(CALLERS)))
        except FlowstoneError as error:
            health = await runtime.health()
            print("refused", bool(health), " ".join(str(error).split()), flush=True)
            os._exit(REFUSED)


if __name__ == "__main__":
    asyncio.run(work(Path(sys.argv[1]), os.open(sys.argv[2], os.O_APPEND | os.O_CREAT | os.O_WRONLY, 0o600)))
