"""A worker process: `python -m tests.chaos.worker URL DIRECTORY [MUTANT]`, until it is killed."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from flowstone import Runtime
from tests.chaos.mutants import IN_WORKERS
from tests.chaos.pipeline import OPTIONS, io_managers, make


async def work(url: str, place: Path) -> None:
    """One node."""
    async with Runtime(make(place), store=url, io=io_managers(place), max_concurrency=8, **OPTIONS):
        print("ready", flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    if len(sys.argv) > 3:
        IN_WORKERS[sys.argv[3]]()
    asyncio.run(work(sys.argv[1], Path(sys.argv[2])))
