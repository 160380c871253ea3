"""A worker process: `python -m tests.cluster.worker DSN LEASE`; stops politely on SIGTERM."""

from __future__ import annotations

import asyncio
import signal
import sys

from flowstone import Runtime
from tests.cluster.pipeline import pipeline


async def work(dsn: str, lease: float) -> None:
    """One node, until it is told to stop."""
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    async with Runtime(pipeline, store=dsn, lease=lease, shutdown_timeout=0.5, cancel_timeout=1.0):
        print("ready", flush=True)
        await stop.wait()


if __name__ == "__main__":
    asyncio.run(work(sys.argv[1], float(sys.argv[2])))
