"""A worker process, which stops politely on SIGTERM."""

from __future__ import annotations

import asyncio
import os
import signal

from flowstone import Runtime
from flowstone.store.postgres import PostgresStore
from tests.cluster.pipeline import pipeline


class DeadlyLooks(PostgresStore):
    """A store in which looking for `raw` takes a moment, and then all memory."""

    async def current(self, keys):
        if any(asset == "raw" for asset, _ in keys):
            await asyncio.sleep(0.5)
            os._exit(9)
        return await super().current(keys)


class DeadlyIO:
    """Nothing may be asked of it."""

    async def store(self, target, value):
        os._exit(9)

    async def load(self, location):
        os._exit(9)

    async def exists(self, location):
        os._exit(9)

    async def delete(self, location):
        os._exit(9)


async def work(dsn: str, lease: float, deadly: str) -> None:
    """One node, until it is told to stop."""
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    store = DeadlyLooks(dsn) if deadly == "looks" else dsn
    io = {"io": {"default": DeadlyIO()}} if deadly == "io" else {}
    async with Runtime(pipeline, store=store, lease=lease, shutdown_timeout=0.5, cancel_timeout=1.0, **io):
        print("ready", flush=True)
        await stop.wait()


def main(dsn: str, lease: float, deadly: str = "") -> None:
    """Be one.

    Args:
        dsn: Its database.
        lease: Seconds.
        deadly: What ends it, as a crash in native code would: `looks` (looking up current values of `raw`) or `io`
            (whatever its IO manager is asked).
    """
    asyncio.run(work(dsn, lease, deadly))
