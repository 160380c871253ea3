"""A process whose listener dies with it: after the call, before that is on record."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

from flowstone import Runtime
from tests.automation.listening import reports


def main(dsn: str, told: str) -> None:
    """Compute a value, note what the listener is told of in a file, and die of it."""
    pipeline = reports()

    @pipeline.on("run.finished")
    def alert(event):
        with Path(told).open("a") as file:
            file.write(f"{event.run_id}\n")
        os._exit(9)

    async def work() -> None:
        async with Runtime(pipeline, store=dsn, automate=True, lease=2.0) as runtime:
            await runtime.materialize("report")
            await asyncio.Event().wait()

    asyncio.run(work())
