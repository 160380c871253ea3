"""A process on a `file://` store: `python -m tests.chaos.item_writer STORE PLACE`, until it is killed or is done.

It goes on with the run that it finds unfinished, or starts one, and ends with status 0 when that has ended.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from random import Random

from flowstone import FileIO, Pipeline, Runtime
from tests.chaos.item_assets import add_item_assets

__all__ = ["make"]

PAUSE = 0.06


def make(place: Path) -> Pipeline:
    """The pipeline; marks go to a file in that directory."""
    pipeline = Pipeline("items")
    add_item_assets(pipeline, place, Random(), pause=PAUSE)
    return pipeline


async def work(store: Path, place: Path) -> None:
    """One run, to its end."""
    io = {"default": FileIO(place / "values")}
    async with Runtime(make(place), store=f"file://{store}", io=io, lost_attempts=100) as runtime:
        begun = await runtime.runs()
        run = await runtime.run(begun[0].id) if begun else await runtime.submit("summary")
        print("ready", flush=True)
        await run.wait()


if __name__ == "__main__":
    asyncio.run(work(Path(sys.argv[1]), Path(sys.argv[2])))
