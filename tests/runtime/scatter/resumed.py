"""A process that dies in the middle of its items."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

from flowstone import Each, FileIO, Pipeline, PostgresIO, Runtime


def pipeline_of(store, folder, die=None):
    """The pipeline and the options of its runtime; each call is a line in `folder`/calls. Item 100 calls `die`."""
    pipeline = Pipeline("resumed")
    calls = Path(folder) / "calls"

    @pipeline.asset
    def files():
        return list(range(200))

    @pipeline.asset(each=Each("files", max_parallel=4))
    async def page(files, context):
        with calls.open("a") as log:
            log.write(f"{files}\n")
        await asyncio.sleep(0.001)
        if die is not None and files == 100:
            await die(context.run_id)
        return files

    io = FileIO(Path(folder) / "values") if store.startswith("file") else PostgresIO()
    return pipeline, {"store": store, "io": {"default": io}, "lease": 1.0}


async def main(store, folder):
    """Run until some items are on record, and die."""

    async def die(run_id):
        while len(await runtime.items(run_id, "page")) < 50:
            await asyncio.sleep(0.01)
        os._exit(9)

    pipeline, options = pipeline_of(store, folder, die)
    async with Runtime(pipeline, **options) as runtime:
        await runtime.materialize_all("page")


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2]))
