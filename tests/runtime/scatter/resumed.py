"""A process that dies in the middle of its items."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

from flowstone import Each, FileIO, Pipeline, PostgresIO, Runtime


def pipeline_of(store, folder, *, kill):
    """The pipeline and the options of its runtime; each call is a line in `folder`/calls."""
    pipeline = Pipeline("resumed")
    calls = Path(folder) / "calls"

    @pipeline.asset
    def files():
        return list(range(200))

    @pipeline.asset(each=Each("files", max_parallel=4))
    async def page(files):
        with calls.open("a") as log:
            log.write(f"{files}\n")
        await asyncio.sleep(0.001)
        if kill and files == 100:
            os._exit(9)
        return files

    io = FileIO(Path(folder) / "values") if store.startswith("file") else PostgresIO()
    return pipeline, {"store": store, "io": {"default": io}, "lease": 1.0}


async def main(store, folder):
    """Run until it dies."""
    pipeline, options = pipeline_of(store, folder, kill=True)
    async with Runtime(pipeline, **options) as runtime:
        await runtime.materialize_all("page")


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2]))
