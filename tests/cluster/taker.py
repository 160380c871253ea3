"""A process that takes a slot of a pool again and again, and finds out whether it is the only one.

`python -m tests.cluster.taker DSN LEASE ROUNDS FILE`. While it holds the slot it holds a lock on FILE, which nobody
else may have. It takes it ROUNDS times, or until it is told to stop; then it prints how often it did, how often the
lock was somebody else's, and how long each hand-over took that began on another node, in milliseconds.
"""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import signal
import sys
import time
from pathlib import Path

from flowstone import Pipeline, Runtime

__all__ = ["POOL"]

POOL = "only"

pipeline = Pipeline("taker")
pipeline.pool(POOL, slots=1)


@pipeline.asset(pool=POOL)
async def one() -> int:
    """An asset, because a pipeline has one."""
    return 1


class Taker:
    """Somebody who wants the slot."""

    name, run_id, priority = "taker", f"process {os.getpid()}", 0
    pools = ((POOL, 1),)
    pooled = False

    def slots_lost(self) -> None:
        """Somebody took this process for dead."""


async def take(runtime: Runtime, rounds: int, file: Path, stop: asyncio.Event) -> dict[str, object]:
    """Take the slot so often."""
    pools = runtime._ctx.admission.pools
    taken, twice, waits = 0, 0, []
    with file.open("r+") as lock:
        while taken < rounds and not stop.is_set():
            taker, has = Taker(), asyncio.Event()
            pools.ask(taker, has.set)
            await has.wait()
            taken += 1
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                twice += 1
            else:
                lock.seek(0)
                who, _, freed = lock.read().partition(" ")
                if freed and int(who) != os.getpid():
                    waits.append((time.time() - float(freed)) * 1e3)
                lock.seek(0)
                lock.truncate()
                lock.write(f"{os.getpid()} {time.time():.6f}")
                lock.flush()
                fcntl.flock(lock, fcntl.LOCK_UN)
            pools.release(taker)
    return {"taken": taken, "twice": twice, "waits": sorted(waits)}


async def main(dsn: str, lease: float, rounds: int, file: Path) -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    async with Runtime(pipeline, store=dsn, lease=lease, worker=True, shutdown_timeout=0.5) as runtime:
        print("ready", flush=True)
        print(json.dumps(await take(runtime, rounds, file, stop)), flush=True)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], float(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4])))
