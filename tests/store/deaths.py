"""What processes do with a file store until they are killed. They tell what was acknowledged, and only then."""

from __future__ import annotations

import asyncio
import os
import signal

from flowstone.store import FileStore, compaction, summary
from tests.store.facts import begun, end, over, run, start

__all__ = ["compact_and_die", "write_for_ever"]

_write = os.write


def tell(*words: str) -> None:
    """A short line is written to a pipe whole."""
    _write(1, (" ".join(words) + "\n").encode())


def write_for_ever(directory: str, life: str, *, compacting: bool) -> None:
    """Eight writers, whose journal is compacted all the time or not at all."""
    if compacting:
        compaction._LEAST = compaction._GROWTH = 0
        summary._MOST = 100.0

    async def main() -> None:
        store = FileStore(directory)
        await store.open()
        tell("open")
        await asyncio.gather(*(_write_runs(store, f"{life}-{number}") for number in range(8)))

    asyncio.run(main())


async def _write_runs(store: FileStore, name: str) -> None:
    number = 0
    while True:
        run_id = f"{name}-{number:06}"
        number += 1
        await store.create_run(run(run_id))
        tell("created", run_id)
        await store.write(begun(run_id))
        for step in "abc":
            await store.write(start(step, name, run_id=run_id))
            await store.write(end(step, name, run_id=run_id, second=number + 10))
            tell("step", run_id, step)
        await store.write_many([end("x", name, run_id=run_id), end("y", name, run_id=run_id), over(run_id)])
        tell("finished", run_id)
        await store.add_partitions("names", [run_id])
        tell("added", run_id)
        if number % 7 == 0:
            await store.prune(keep_versions=3, keep_runs=10_000)


def compact_and_die(directory: str, deadly: int) -> None:
    """Compact a journal while writing to it, and die of that call to the disk; of a write only half is done.

    Args:
        directory: The store's.
        deadly: Which of the calls from the beginning of the compaction on.
    """
    compaction._REST = 0
    calls, compacting = 0, False

    def counted(call):
        def instead(*arguments, **options):
            nonlocal calls
            if not compacting:
                return call(*arguments, **options)
            calls += 1
            if calls == deadly:
                if call is _write:
                    _write(arguments[0], bytes(arguments[1])[: len(arguments[1]) // 2])
                os.kill(os.getpid(), signal.SIGKILL)
            return call(*arguments, **options)

        return instead

    async def main() -> None:
        nonlocal compacting
        store = FileStore(directory)
        await store.open()
        tell("open")
        compacting = True
        store._compactor._due = 0
        for number in range(2):
            await store.write(end("x", str(number), run_id="run-1019x"))
            tell(str(number))
        await store._compactor.idle()
        await store.write(end("x", "2", run_id="run-1019x"))
        tell("2")
        compacting = False
        await store.close()
        tell("whole")

    for name in ("write", "fsync", "replace", "rename", "unlink", "ftruncate", "open", "close"):
        setattr(os, name, counted(getattr(os, name)))
    asyncio.run(main())
