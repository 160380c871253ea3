"""A process in which many ask for the same at once, and would rather join a run than compute it twice."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path

from flowstone import Context, Pipeline, Runtime, StaticPartitions

__all__ = ["main", "pipeline"]

pipeline = Pipeline("asked")


def note(context: Context) -> Path:
    """Say that it begins; the file that says that it may end."""
    notes = Path(os.environ["FLOWSTONE_TEST_DONE"])
    with notes.open("a") as file:
        file.write(f"{os.getpid()} {context.partition} {context.attempt}\n")
    return notes.with_suffix(".go")


@pipeline.asset(partitions=StaticPartitions(["a", "b"]))
async def page(context: Context) -> str:
    """Notes who began it and in which attempt, and ends when the test lets it: when there is a file."""
    go = note(context)
    while not go.exists():
        await asyncio.sleep(0.02)
    return f"{os.getpid()}"


def main(dsn: str, lease: float, calls: int, worker: bool = True, cancels: bool = False) -> None:
    """Ask for a partition so many times for each line that names one; print what came of it.

    Args:
        dsn: The database.
        lease: Seconds.
        calls: How many.
        worker: Whether it takes runs that others left.
        cancels: Whether the last one who leaves cancels the run.
    """
    asyncio.run(ask(dsn, lease, calls, worker, cancels))


async def ask(dsn: str, lease: float, calls: int, worker: bool, cancels: bool) -> None:
    async with Runtime(
        pipeline, store=dsn, lease=lease, worker=worker, shutdown_timeout=0.2, cancel_timeout=1.0
    ) as runtime:
        print("ready", flush=True)
        while line := (await asyncio.to_thread(sys.stdin.readline)).strip():
            wish = {"partition": line, "join": True, "cancel_when_unwanted": cancels}
            asked = [asyncio.create_task(runtime.materialize("page", **wish)) for _ in range(calls)]
            if await asyncio.to_thread(sys.stdin.readline) == "leave\n":
                for call in asked:
                    call.cancel()
            outcomes = await asyncio.gather(*asked, return_exceptions=True)
            print(json.dumps([getattr(each, "run_id", repr(each)) for each in outcomes]), flush=True)
