"""A directory as a store: its files, its lock, its readers, and what users record in it."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import pytest

from flowstone.errors import IOManagerError, StoreUnavailable
from flowstone.store import FileStore
from flowstone.store import file as file_module
from flowstone.store import lock as lock_module
from flowstone.store.codec import encode_run
from flowstone.store.lock import FileLock
from flowstone.store.replay import Replay
from tests.store.facts import begun, end, run
from tests.store.looking import journal, reread

A = ("a", None)


async def test_only_two_files_are_made(store, directory):
    """The store keeps to its directory and to its two files."""
    assert sorted(path.name for path in directory.iterdir()) == ["journal.jsonl", "journal.lock"]
    assert [path.name for path in directory.parent.iterdir()] == ["runs"]


async def test_each_line_of_the_journal_is_json(store, directory):
    """The journal can be read with any tool for JSON lines."""
    await store.write(end("a", metadata={"text": "ü\n"}))
    lines = [json.loads(line) for line in journal(directory).read_text("ascii").splitlines()]
    assert lines[0].keys() == {"flowstone", "version", "id"}
    assert [(line[0], line[2][0]) for line in lines[1:]] == [(2, "run"), (3, "events")]


def test_a_journal_that_numbered_no_runs_is_read_in_the_order_of_ids():
    """Compaction wrote runs in the order they finished; those that come now are newer than all of them."""
    replay = Replay()
    for name in ("run-2", "run-3", "run-1"):
        replay.apply(["kept", encode_run(run(name)), 1])
    for name in ("run-9", "run-0"):
        replay.apply(["run", encode_run(run(name))])
    newest = [head.id for head in replay.history.runs((), None, {}, 9, None)]
    assert newest == ["run-0", "run-9", "run-3", "run-2", "run-1"]
    assert [head.id for head in replay.history.runs((), None, {}, 9, "run-3")] == ["run-2", "run-1"]


async def test_who_looks_on_is_told_whether_a_process_has_the_store(store, directory):
    """After a kill the lock still names the process that had it."""

    async def in_use():
        looking = FileStore(directory, read_only=True)
        await looking.open()
        return looking.in_use

    assert await in_use()
    await store.close()
    assert not await in_use()
    (directory / "journal.lock").write_text("4711\n")
    assert not await in_use()
    (directory / "journal.lock").unlink()
    assert not await in_use()
    assert not (directory / "journal.lock").exists()


async def test_who_looks_on_keeps_nobody_from_opening_the_store(store, directory, monkeypatch):
    """For as long as it takes to look, the lock is held by whoever looks."""
    await store.close()
    with FileLock(directory / "journal.lock") as looking:
        assert looking.seize()
        monkeypatch.setattr(lock_module.time, "sleep", lambda _: looking.release())
        await store.open()
    assert await store.run("run-1") is not None


async def test_who_looks_on_for_long_is_not_taken_for_a_process_that_is_gone(store, directory, monkeypatch):
    """While the process that is named exists no more, it can only be somebody who looks, who may be held up."""
    await store.close()
    with subprocess.Popen([sys.executable, "-c", ""]) as gone:  # noqa: ASYNC220 - it ends at once
        pass
    (directory / "journal.lock").write_text(f"{gone.pid}\n")
    moments = []
    with FileLock(directory / "journal.lock") as looking:
        assert looking.seize()
        monkeypatch.setattr(lock_module.time, "sleep", moments.append)
        with pytest.raises(StoreUnavailable, match=f"in use by process {gone.pid}"):
            await FileStore(directory).open()
        assert 0.9 < sum(moments) < 1.1

        def look_no_more(moment):
            moments.append(moment)
            if len(moments) == 10:
                looking.release()

        moments.clear()
        monkeypatch.setattr(lock_module.time, "sleep", look_no_more)
        await store.open()
        assert len(moments) == 10
    assert (directory / "journal.lock").read_text() == f"{os.getpid()}\n"


async def test_a_store_that_is_in_use_is_not_waited_for(store, directory, monkeypatch):
    """A second look is enough while the process that is named exists."""
    moments = []
    monkeypatch.setattr(lock_module.time, "sleep", moments.append)
    with pytest.raises(StoreUnavailable, match="in use by"):
        await FileStore(directory).open()
    assert len(moments) == 1


async def test_values_are_not_kept_in_the_journal(store):
    """A success that comes with its value is refused with a remedy, and nothing of it is recorded."""
    with pytest.raises(IOManagerError, match=r"keeps no values.*FileIO"):
        await store.write(end("a", location="store:a"), payload=b"value")
    assert (await store.step("run-1", A), await store.payload("store:a")) == (None, None)
    assert (store.keeps_payloads, await store.has_payload("store:a")) == (False, False)
    await store.delete_payload("store:a")


async def test_a_second_store_is_refused_and_told_why(store, directory):
    """While a store is open no other one opens its directory, not even in the same process."""
    with pytest.raises(StoreUnavailable, match=f"another store of this process.*{os.getpid()}"):
        await FileStore(directory).open()
    await store.write(end("a"))
    await store.close()
    other = FileStore(directory)
    await other.open()
    assert len(await other.steps("run-1")) == 1
    await other.close()


async def test_the_process_that_holds_a_store_is_named(directory):
    """Another process is refused at once with the holder's id, and let in when the holder was killed."""
    program = """
        import asyncio, sys
        from flowstone.store import FileStore

        async def main():
            await FileStore(sys.argv[1]).open()
            print("open", flush=True)
            await asyncio.Event().wait()

        asyncio.run(main())
    """
    command = [sys.executable, "-c", textwrap.dedent(program), str(directory)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as holder:  # noqa: ASYNC220 - it is waited for in the next line
        assert holder.stdout.readline() == "open\n"
        with pytest.raises(
            StoreUnavailable, match=f"in use by process {holder.pid}; stop that one"
        ) as caught:
            await FileStore(directory).open()
        assert f"open FileStore({str(directory)!r}, read_only=True)." in str(caught.value)
        holder.kill()
        holder.wait()
    store = FileStore(directory)
    await store.open()
    await store.close()


async def test_a_forked_child_does_not_hold_the_store(directory):
    """A worker that outlives its killed parent does not keep the next process out."""
    program = """
        import asyncio, os, signal, sys
        from flowstone.store import FileStore

        async def main():
            store = FileStore(sys.argv[1])
            await store.open()
            child = os.fork()
            if child == 0:
                print(os.getpid(), flush=True)
                signal.pause()
            signal.pause()

        asyncio.run(main())
    """
    command = [sys.executable, "-c", textwrap.dedent(program), str(directory)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:  # noqa: ASYNC220 - as above
        child = int(parent.stdout.readline())
        parent.kill()
        parent.wait()
        try:
            store = FileStore(directory)
            await store.open()
            await store.close()
        finally:
            os.kill(child, signal.SIGKILL)


async def test_a_failed_opening_may_be_repeated_at_once(directory, written):
    """Whoever mends what was wrong opens the same store object again."""
    journal(directory).write_bytes(b"mine\n")
    store = FileStore(directory)
    for _ in range(3):
        with pytest.raises(StoreUnavailable, match="not a journal"):
            await store.open()
    journal(directory).write_bytes(written)
    await store.open()
    assert len(await store.steps("run-1")) == 3
    await store.close()


@pytest.mark.parametrize("where", ["a-file", "a-file/below"])
async def test_a_path_that_is_a_file_is_refused(tmp_path, where):
    """A store needs a directory, and says so."""
    (tmp_path / "a-file").write_text("mine")
    with pytest.raises(StoreUnavailable, match=r"not a directory; give the store a directory of its own"):
        await FileStore(tmp_path / where).open()
    assert (tmp_path / "a-file").read_text() == "mine"


@pytest.mark.parametrize("name", ["mkdir", "open"])
async def test_a_directory_that_may_not_be_written_is_explained(directory, monkeypatch, name):
    """Without permission the store names the directory and the remedy."""

    def refuse(*arguments, **options):
        raise PermissionError(13, "Permission denied", str(directory))

    monkeypatch.setattr(*((Path, "mkdir") if name == "mkdir" else (os, "open")), refuse)
    directory.parent.mkdir() if name == "open" else None
    with pytest.raises(StoreUnavailable, match=r"cannot open the store in .*Permission denied.*allow it"):
        await FileStore(directory).open()


async def test_a_cancelled_opening_lets_go(store, directory, monkeypatch):
    """Cancelling `open` while the disk is slow leaves the directory free for the next store."""
    await store.close()
    entered, go_on = threading.Event(), threading.Event()
    read = file_module.read_journal

    def slowly(*arguments):
        entered.set()
        assert go_on.wait(60)
        return read(*arguments)

    monkeypatch.setattr(file_module, "read_journal", slowly)
    opening = asyncio.create_task(FileStore(directory).open())
    await asyncio.to_thread(entered.wait, 60)
    opening.cancel()
    with pytest.raises(asyncio.CancelledError):
        await opening
    go_on.set()
    monkeypatch.undo()
    async with asyncio.timeout(200):
        while True:  # The disk's thread lets go when it can; nobody is told when.
            try:
                await store.open()
                break
            except StoreUnavailable:
                await asyncio.sleep(0)
    assert await store.run("run-1") == run()


async def test_a_reader_looks_on_while_another_process_works(store, directory):
    """A read-only store needs no lock, sees what was recorded when it was opened, and writes nothing."""
    await store.write(end("a"))
    before = journal(directory).read_bytes()
    reader = await reread(directory)
    await store.write(end("b"))
    assert [one.asset for one in await reader.steps("run-1")] == ["a"]
    with pytest.raises(StoreUnavailable, match="opened to be looked at; open it without read_only"):
        await reader.write(end("c"))
    await reader.close()
    await reader.open()
    assert [one.asset for one in await reader.steps("run-1")] == ["a", "b"]
    assert journal(directory).read_bytes().startswith(before)


async def test_a_reader_ignores_a_line_that_is_being_written(directory, written):
    """The torn end of a journal belongs to its writer: a reader neither reads nor cuts it."""
    torn = written + b'[7,"12'
    journal(directory).write_bytes(torn)
    reader = await reread(directory)
    assert len(await reader.steps("run-1")) == 3
    assert journal(directory).read_bytes() == torn


async def test_a_reader_needs_something_to_read(directory):
    """A directory that is not there is a mistake in the path, and is not made; an empty one is empty."""
    with pytest.raises(StoreUnavailable, match=r"no run history in .*check the path"):
        await reread(directory)
    assert not directory.exists()
    directory.mkdir(parents=True)
    assert await (await reread(directory)).runs() == []
    assert list(directory.iterdir()) == []


class Evil:
    """A value whose text ends the process."""

    def __str__(self):
        raise SystemExit(1)

    __repr__ = __str__


async def test_metadata_never_fails_a_write(store, directory):
    """Anything may be recorded; what is remembered is JSON, the same before and after reopening."""
    nested: list = []
    nested.append(nested)
    metadata = {
        "nan": float("nan"),
        "lone": "\ud800",
        "bytes": b"\xff",
        "set": {3, 1},
        "when": begun().at,
        "huge": "x" * 10**7,
        "int": 10**5000,
        "evil": Evil(),
        "self": nested,
        7: object(),
    }
    await store.write(end("a", metadata=metadata, data_version=7, location=Path("a/b")))
    remembered = (await store.current([A]))[A]
    assert remembered.metadata["nan"] == "nan"
    assert (remembered.data_version, remembered.location) == ("7", "a/b")
    assert (await (await reread(directory)).current([A]))[A] == remembered
    assert journal(directory).stat().st_size < 500_000


async def test_later_changes_of_metadata_do_not_reach_the_store(store):
    """The store keeps what was recorded, not the asset's own dict."""
    metadata = {"rows": 1}
    await store.write(end("a", metadata=metadata))
    metadata["rows"] = 2
    assert (await store.current([A]))[A].metadata == {"rows": 1}
