"""A node: `python -m tests.chaos.node URL DIRECTORY CLOCK [MUTANT]`, until killed or stdin closes."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path
from typing import Any

from flowstone import Runtime
from tests.chaos.clocks import SteppedClock
from tests.chaos.mutants import IN_WORKERS
from tests.chaos.pipeline import OPTIONS, io_managers, make


def tell() -> None:
    """Write to the log what every task of this process is waiting for."""
    for task in asyncio.all_tasks():
        print("TASK", task.get_name(), file=sys.stderr)
        waiting: Any = task.get_coro()
        while waiting is not None:
            frame = getattr(waiting, "cr_frame", None) or getattr(waiting, "gi_frame", None)
            print("   ", frame or repr(waiting)[:300], file=sys.stderr)
            waiting = getattr(waiting, "cr_await", None) or getattr(waiting, "gi_yieldfrom", None)
    sys.stderr.flush()


async def work(url: str, place: Path, clock: Path) -> None:
    """One node. Sent SIGUSR1, it tells what it is at."""
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGUSR1, tell)
    loop.add_reader(sys.stdin.fileno(), os._exit, 1)  # Whoever started it is gone.
    async with Runtime(
        make(place),
        store=url,
        io=io_managers(place),
        clock=SteppedClock(clock),
        max_concurrency=8,
        **OPTIONS,
    ):
        print("ready", flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    if len(sys.argv) > 4:
        IN_WORKERS[sys.argv[4]]()
    asyncio.run(work(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])))
