"""Group commit, on disks that are slow, full or broken: acknowledged means on disk."""

from __future__ import annotations

import asyncio
import os
import resource
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from flowstone.errors import StoreUnavailable
from flowstone.store import FileStore, StaleWrite
from tests.store.facts import end, record, run, start
from tests.store.looking import journal, reread

A = ("a", None)


async def test_writers_that_wait_together_share_an_fsync(store, disk):
    """A hundred writers that are ready at the same time cost one fsync, not a hundred."""
    await asyncio.gather(*(store.write(end("a", str(number))) for number in range(100)))
    assert disk.syncs == 1
    assert len(await store.steps("run-1")) == 100


async def test_a_write_counts_when_it_is_durable(store, disk):
    """Nothing is visible, and nobody is told, before the disk has the line."""
    disk.gate.clear()
    writing = asyncio.create_task(store.write(end("a")))
    await asyncio.to_thread(disk.reached.wait, 60)
    assert await store.current([A]) == {}
    assert not writing.done()
    disk.gate.set()
    await writing
    assert set(await store.current([A])) == {A}


async def test_a_cancelled_writer_takes_nobody_along(store, disk, directory):
    """Its line and the lines of its batch are recorded and applied all the same."""
    disk.gate.clear()
    first = asyncio.create_task(store.write(end("first")))
    await asyncio.to_thread(disk.reached.wait, 60)
    batch = [asyncio.create_task(store.write(end(name))) for name in "abc"]
    await asyncio.sleep(0)
    first.cancel()
    batch[1].cancel()
    disk.gate.set()
    outcomes = await asyncio.gather(first, *batch, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes[:3]] == [
        asyncio.CancelledError,
        type(None),
        asyncio.CancelledError,
    ]
    await store.write(end("last"))
    names = {one.asset for one in await store.steps("run-1")}
    assert names == {"first", "a", "b", "c", "last"}
    assert await (await reread(directory)).steps("run-1") == await store.steps("run-1")


async def test_close_waits_for_what_was_begun(store, disk, directory):
    """Writes under way are finished, later ones are refused, and the directory is free afterwards."""
    disk.gate.clear()
    writing = asyncio.create_task(store.write(end("a")))
    await asyncio.to_thread(disk.reached.wait, 60)
    waiting = asyncio.create_task(store.write(end("c")))
    await asyncio.sleep(0)
    closing = asyncio.create_task(store.close())
    await asyncio.sleep(0)
    with pytest.raises(StoreUnavailable, match="not open"):
        await store.write(end("b"))
    disk.gate.set()
    await asyncio.gather(writing, waiting, closing)
    other = FileStore(directory)
    await other.open()
    assert set(await other.current([A, ("b", None), ("c", None)])) == {A, ("c", None)}
    await other.close()


async def test_a_closed_store_still_answers(store):
    """What was known at `close` can be read, so a result may be looked at after its runtime has ended."""
    await store.write(end("a"))
    await store.close()
    assert (await store.current([A]))[A] == record("a")


async def test_a_store_that_was_never_opened_refuses_writes(directory):
    """A write before `open` says what to do."""
    with pytest.raises(StoreUnavailable, match="not open; open it"):
        await FileStore(directory).create_run(run())


async def unchanged_by_failure(store, directory, reason: str) -> None:
    """Writers of a failing batch are told, and neither memory nor disk knows of it."""
    before = journal(directory).read_bytes(), await store.events("run-1"), await store.run("run-1")
    writes = [
        store.write(end("a")),
        store.write(start("b")),
        store.invalidate([A]),
        store.add_partitions("s", ["x"]),
    ]
    outcomes = await asyncio.gather(*writes, return_exceptions=True)
    for outcome in outcomes:
        assert isinstance(outcome, StoreUnavailable)
        assert reason in str(outcome)
        assert "journal.jsonl" in str(outcome)
        assert "try again" in str(outcome)
    assert (await store.events("run-1"), await store.run("run-1")) == before[1:]
    assert await store.partitions("s") == []
    assert journal(directory).read_bytes() == before[0]


@pytest.mark.parametrize("room", [0, 1, 60, 200])
async def test_a_full_disk_records_nothing_and_recovers(store, disk, directory, room):
    """However much of a batch fitted, it is cut off; with room again the same writes succeed."""
    disk.room = room
    await unchanged_by_failure(store, directory, "No space left on device")
    disk.room = None
    await store.write(end("a"))
    assert await (await reread(directory)).current([A]) == await store.current([A]) != {}


async def test_a_failing_fsync_records_nothing_and_recovers(store, disk, directory):
    """Bytes that may or may not have reached the disk are cut off and written again."""
    disk.broken = {"fsync"}
    await unchanged_by_failure(store, directory, "Input/output error")
    disk.broken.clear()
    await store.write(end("a"))
    assert await (await reread(directory)).current([A]) == await store.current([A]) != {}


async def test_a_disk_that_cannot_even_cut_is_cut_later(store, disk, directory):
    """If the half-written batch cannot be removed at once, the next write removes it first."""
    disk.room, disk.broken = 30, {"ftruncate"}
    with pytest.raises(StoreUnavailable):
        await store.write(end("a"))
    assert not journal(directory).read_bytes().endswith(b"\n")
    disk.room = None
    with pytest.raises(StoreUnavailable):
        await store.write(end("a"))
    disk.broken.clear()
    await store.write(end("a"))
    assert await (await reread(directory)).steps("run-1") == [record("a")]


async def test_a_refused_write_does_not_fail_its_batch(store):
    """One stale writer among others is refused alone."""
    writes = [store.write(end("a")), store.write(end("a")), store.write(end("b"))]
    outcomes = await asyncio.gather(*writes, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [type(None), StaleWrite, type(None)]


def limited(*, size: int) -> None:
    """In the child: no file may grow beyond `size` bytes."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


def test_a_real_limit_of_the_system_is_met_in_the_same_way(directory, tmp_path):
    """With the kernel refusing to extend the file, what was acknowledged and only that is on disk."""
    program = """
        import asyncio, resource, sys
        from flowstone.errors import StoreUnavailable
        from flowstone.store import FileStore
        from tests.store.facts import end, run

        async def main():
            store = FileStore(sys.argv[1])
            await store.open()
            await store.create_run(run())
            recorded = []
            for number in range(200):
                try:
                    await store.write(end("a", str(number)))
                    recorded.append(number)
                except StoreUnavailable as error:
                    assert "File too large" in str(error)
            resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
            await store.write(end("a", "after"))
            await store.close()
            print(*recorded, "after")

        asyncio.run(main())
    """
    # It compiles nothing: what the kernel cuts off it would leave for every later process to trip over.
    compiled = {"PYTHONPYCACHEPREFIX": str(tmp_path / "compiled"), "PYTHONDONTWRITEBYTECODE": "1"}
    done = python(program, directory, env=os.environ | compiled, preexec_fn=lambda: limited(size=9_000))
    assert not (tmp_path / "compiled").exists()
    acknowledged = done.stdout.split()
    assert 5 < len(acknowledged) < 150

    async def on_disk():
        return [one.partition_key for one in await (await reread(directory)).steps("run-1")]

    assert asyncio.run(on_disk()) == acknowledged


def python(program: str, *arguments, **options) -> subprocess.CompletedProcess[str]:
    """Run a program to its end in a process of its own."""
    command = [sys.executable, "-c", textwrap.dedent(program), *map(str, arguments)]
    root = Path(__file__).parents[2]
    return subprocess.run(
        command, cwd=root, capture_output=True, text=True, check=True, timeout=200, **options
    )
