"""What is left of a store when the disk, the caller or the process fails half way."""

from __future__ import annotations

import asyncio
import errno
import os
import signal
import stat
import subprocess
import sys
import threading
import time

import pytest

from flowstone.errors import IOManagerError
from flowstone.io import FileIO
from flowstone.io.objects import Objects
from tests.io.contract import target
from tests.io.test_files import hidden, visible

# The disk refuses -------------------------------------------------------------------------------------------


def failing(call, code, *, after=0):
    """`call`, but for raising the `OSError` of `code` once it has been called `after` times."""
    calls = iter(range(1_000_000))

    def wrapped(*args, **kwargs):
        if next(calls) >= after:
            raise OSError(code, os.strerror(code))
        return call(*args, **kwargs)

    return wrapped


REFUSALS = [
    ("write", errno.ENOSPC, "the disk is full; free some space"),
    ("write", errno.EDQUOT, "the disk quota is used up; free"),
    ("write", errno.EIO, "the disk reported an error; check the disk"),
    ("write", errno.EFBIG, "the file is too large for this file system; split"),
    ("fsync", errno.EIO, "the disk reported an error; check the disk"),
    ("fsync", errno.ENOSPC, "the disk is full; free some space"),
    ("link", errno.EXDEV, "a folder is on another file system than its root"),
    ("link", errno.ENOSPC, "the disk is full; free some space"),
    ("mkdir", errno.EROFS, "the file system is read-only; choose a root that can be written"),
    ("mkdir", errno.EACCES, "permission was denied; give this user access"),
    ("open", errno.EMFILE, "this process has too many open files; raise its limit"),
    ("open", errno.ESTALE, "the network share is stale; mount it again"),
    ("open", errno.EBUSY, r"the operating system refused \(.*busy\); check the root folder"),
]


@pytest.mark.parametrize(
    "refusal", REFUSALS, ids=lambda refusal: f"{refusal[0]}-{errno.errorcode[refusal[1]]}"
)
async def test_a_refused_store_says_why_and_leaves_nothing(files, root, monkeypatch, refusal):
    """Whatever call the system refuses, the error is one sentence with a remedy and no file is left."""
    call, code, remedy = refusal
    await files.store(target("before"), 1)
    before = visible(root)
    with monkeypatch.context() as patch:
        patch.setattr(os, call, failing(getattr(os, call), code))
        with pytest.raises(IOManagerError, match=rf"^Cannot store asset 'orders\[k\]' in /.*: {remedy}.*\.$"):
            await files.store(target("k"), "x" * 100)
    assert (visible(root), hidden(root)) == (before, [])
    stored = await files.store(target("k"), "x" * 100)
    assert await files.load(stored.location) == "x" * 100


@pytest.mark.parametrize("call", ["write", "fsync", "link", "mkdir", "open", "unlink", "close"])
async def test_no_fault_at_any_call_leaves_a_half_file(tmp_path, monkeypatch, call):
    """Failing the n-th system call of each kind, for every n, leaves the whole file or none."""
    for after in range(12):
        files = FileIO(tmp_path / str(after))
        with monkeypatch.context() as patch:
            if call == "close":
                patch.setattr(os, call, raising_after_closing(after))
            else:
                patch.setattr(os, call, failing(getattr(os, call), errno.EIO, after=after))
            try:
                stored = await files.store(target("k"), "x" * 100)
            except IOManagerError:
                stored = None
        for location in visible(files.root) if files.root.exists() else []:
            assert await files.load(location) == "x" * 100
        if stored is not None:
            assert await files.load(stored.location) == "x" * 100
        await files.teardown()


def raising_after_closing(after):
    """`os.close` that closes, and still reports an error once it has been called `after` times."""
    close, fail = os.close, failing(lambda _: None, errno.EIO, after=after)

    def wrapped(fd):
        close(fd)
        fail(fd)

    return wrapped


async def test_a_short_write_is_completed(files, monkeypatch):
    """A system that writes less than asked at a time still stores the whole value."""
    write = os.write
    monkeypatch.setattr(os, "write", lambda fd, data: write(fd, data[:7]))
    stored = await files.store(target(), "0123456789" * 10)
    assert await files.load(stored.location) == "0123456789" * 10


async def test_durable_before_visible(files, monkeypatch):
    """The content is synced before the file gets its name, and folders that gained an entry after that."""
    calls = []
    fsync, link = os.fsync, os.link

    def record_fsync(fd):
        calls.append("fsync folder" if stat.S_ISDIR(os.fstat(fd).st_mode) else "fsync file")
        fsync(fd)

    def record_link(*args, **kwargs):
        calls.append("link")
        link(*args, **kwargs)

    await files.store(target("first"), 0)
    monkeypatch.setattr(os, "fsync", record_fsync)
    monkeypatch.setattr(os, "link", record_link)
    await files.store(target("k", attempt=1), 1)
    await files.store(target("k", attempt=2), 2)
    new_partition = ["fsync file", "link", "fsync folder", "fsync folder"]
    known_partition = ["fsync file", "link", "fsync folder"]
    assert calls == new_partition + known_partition


async def test_a_name_that_cannot_be_made_durable_is_taken_back(files, root, monkeypatch):
    """When the folder cannot be synced after the file got its name, the store fails and the name is removed."""
    fsync = os.fsync

    def refuse_folders(fd):
        if stat.S_ISDIR(os.fstat(fd).st_mode) and visible(root):
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        fsync(fd)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", refuse_folders)
        with pytest.raises(IOManagerError, match=r"the disk reported an error"):
            await files.store(target("k"), 1)
    assert (visible(root), hidden(root)) == ([], [])
    assert await files.load((await files.store(target("k"), 1)).location) == 1


async def test_folders_are_synced_again_when_too_many_are_known(files, monkeypatch):
    """The memory of which folders are durable is bounded, and forgetting costs only a sync."""
    monkeypatch.setattr("flowstone.io.objects._REMEMBERED_FOLDERS", 3)
    for n in range(10):
        await files.store(target(str(n)), n)
        assert len(files._objects._durable) <= 3


@pytest.mark.parametrize("code", [errno.EPERM, errno.EOPNOTSUPP])
async def test_a_file_system_without_hard_links_serves_as_well(files, root, monkeypatch, code):
    """Where links are not supported the file is renamed into place, and an existing one is still refused."""
    monkeypatch.setattr(os, "link", failing(os.link, code))
    stored = await files.store(target(), "value")
    assert await files.load(stored.location) == "value"
    with pytest.raises(IOManagerError, match=r"never replaced"):
        await files.store(target(), "value")
    assert (visible(root), hidden(root)) == ([stored.location], [])


@pytest.mark.parametrize("place", ["warehouse", "warehouse/orders", "warehouse/orders/k", "warehouse/.tmp"])
async def test_a_file_where_a_folder_must_be(tmp_path, root, place):
    """A file in the way of the root or of any folder below it is named as what is wrong."""
    path = tmp_path / place
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("in the way")
    files = FileIO(root)
    with pytest.raises(IOManagerError, match=r"a file or a link is where a folder must be; remove it"):
        await files.store(target("k"), 1)
    assert path.read_text() == "in the way"
    await files.teardown()


async def test_a_root_with_too_long_a_path(tmp_path):
    """A root deeper than the system allows is refused with a remedy."""
    files = FileIO(tmp_path.joinpath(*["x" * 200] * 30))
    with pytest.raises(
        IOManagerError, match=r"the path is too long for this file system; choose a root with"
    ):
        await files.store(target(), 1)
    await files.teardown()


@pytest.mark.parametrize("call", ["load", "delete", "exists"])
async def test_a_disk_that_fails_to_read_is_an_io_error(files, monkeypatch, call):
    """An error of the disk is never mistaken for a value that is not there."""
    stored = await files.store(target(), 1)
    monkeypatch.setattr(os, "open", failing(os.open, errno.EIO))
    with pytest.raises(IOManagerError, match=r"the disk reported an error"):
        await getattr(files, call)(stored.location)


# The caller leaves ------------------------------------------------------------------------------------------


class Hold:
    """Makes one function of `os` wait half way through a store until told to go on."""

    def __init__(self, monkeypatch, name):
        self.reached = threading.Event()
        self.go_on = threading.Event()
        call = getattr(os, name)

        def wrapped(*args, **kwargs):
            self.reached.set()
            assert self.go_on.wait(60)
            return call(*args, **kwargs)

        monkeypatch.setattr(os, name, wrapped)


async def settled(files):
    """Wait until no thread has work: each piece asked of them now comes after all that went before."""
    await asyncio.gather(*(files.exists("x") for _ in range(50)))
    threads = files._threads
    calm = 0
    while calm < 2:
        # A thread that is back from its work has told the loop, which may answer with more: let it, and look again.
        await asyncio.sleep(0)
        state = threads.statistics()
        if state.threads == threads._spare and not state.queued:
            calm += 1
        else:
            calm = 0
            await threads.run(lambda _: None)


@pytest.mark.parametrize("call", ["write", "fsync", "link", "mkdir"])
async def test_a_cancelled_store_leaves_no_file(files, root, monkeypatch, call):
    """Cancelled at any point, a store ends at once, and when its thread is done no file is left."""
    with monkeypatch.context() as patch:
        hold = Hold(patch, call)
        storing = asyncio.create_task(files.store(target(), "x" * 100))
        await asyncio.to_thread(hold.reached.wait, 30)
        storing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await storing
        hold.go_on.set()
        await settled(files)
    assert (visible(root), hidden(root)) == ([], [])
    stored = await files.store(target(), "x" * 100)
    assert await files.load(stored.location) == "x" * 100


async def test_a_store_cancelled_as_it_completes_leaves_no_file(files, root):
    """A cancel that comes in the very turn of the loop in which the store completes removes the file."""
    loop = asyncio.get_running_loop()
    for turns in range(6):
        storing = asyncio.create_task(files.store(target(str(turns)), "value"))
        await _completed(files, storing)
        for _ in range(turns):
            await asyncio.sleep(0)
        storing.cancel()
        [outcome] = await asyncio.gather(storing, return_exceptions=True)
        await settled(files)
        if isinstance(outcome, asyncio.CancelledError):
            assert not (root / "orders" / str(turns)).exists() or not any(
                (root / "orders" / str(turns)).iterdir()
            )
        else:
            assert await files.load(outcome.location) == "value"
    assert loop.is_running()


async def _completed(files, storing):
    """Block the loop until the store's thread is idle again, so that its outcome waits to be delivered."""
    await asyncio.sleep(0)
    deadline = time.monotonic() + 60
    threads = files._threads
    while (state := threads.statistics()).threads != threads._spare or state.queued or not state.threads:
        assert time.monotonic() < deadline
        assert not storing.done()


async def test_a_cancelled_store_that_never_began_does_nothing(root, monkeypatch):
    """A store still waiting for a thread when it is cancelled is never started."""
    files = FileIO(root, max_threads=1)
    hold = Hold(monkeypatch, "write")
    first = asyncio.create_task(files.store(target("first"), "first"))
    await asyncio.to_thread(hold.reached.wait, 30)
    second = asyncio.create_task(files.store(target("second"), "second"))
    await asyncio.sleep(0)
    second.cancel()
    with pytest.raises(asyncio.CancelledError):
        await second
    hold.go_on.set()
    stored = await first
    await settled(files)
    assert visible(root) == [stored.location]
    await files.teardown()


async def test_the_loop_runs_while_a_store_waits_for_the_disk(files, monkeypatch):
    """A disk that hangs holds neither the loop nor other stores."""
    stored = await files.store(target("other"), "other")
    hold = Hold(monkeypatch, "fsync")
    storing = asyncio.create_task(files.store(target(), "slow"))
    await asyncio.to_thread(hold.reached.wait, 30)
    assert await files.load(stored.location) == "other"
    hold.go_on.set()
    assert await files.load((await storing).location) == "slow"


# The process dies -------------------------------------------------------------------------------------------

DIE = """
import asyncio, os, sys, time
from flowstone.io import FileIO, Target

def stop(name, call):
    def wrapped(*args, **kwargs):
        if sys.argv[2] == name and (name != "fsync" or os.fstat(*args).st_size == 100):
            print("reached", flush=True)
            time.sleep(600)
        return call(*args, **kwargs)
    return wrapped

for name in ("fsync", "link", "unlink"):
    setattr(os, name, stop(name, getattr(os, name)))
asyncio.run(FileIO(sys.argv[1]).store(Target("orders", "k", "run", 1), "x" * 100))
"""


@pytest.mark.parametrize(("call", "expected"), [("fsync", 0), ("link", 0), ("unlink", 1)])
async def test_killed_at_any_instant_leaves_a_whole_file_or_none(files, root, call, expected):
    """After kill -9 before the sync, before and after the link, whatever is visible is whole."""
    command = [sys.executable, "-c", DIE, str(root), call]
    process = await asyncio.create_subprocess_exec(*command, stdout=subprocess.PIPE)
    assert await process.stdout.readline() == b"reached\n"
    process.send_signal(signal.SIGKILL)
    await process.wait()
    assert len(visible(root)) == expected
    for location in visible(root):
        assert await files.load(location) == "x" * 100
    assert len(hidden(root)) == 1
    stored = await files.store(target("k", attempt=2), "y")
    assert await files.load(stored.location) == "y"


async def test_what_a_dead_process_left_is_swept_after_a_day(root):
    """The first store removes temporary files older than a day, and none that may still be written."""
    scratch = root / ".tmp"
    scratch.mkdir(parents=True)
    now = time.time()
    for name, age in (("old", 86_401 + 60), ("young", 86_400 - 60), ("new", 0)):
        (scratch / name).write_bytes(b"half")
        os.utime(scratch / name, (now - age, now - age))
    files = FileIO(root)
    await files.store(target(), 1)
    assert [path.name for path in hidden(root)] == ["new", "young"]
    await files.teardown()


def test_sweeping_leaves_what_it_may_not_remove(root):
    """A folder, or a file that vanishes meanwhile, in the place of temporary files is no obstacle."""
    (root / ".tmp" / "folder").mkdir(parents=True)
    objects = Objects(str(root), clock=lambda: time.time() + 1_000_000)
    objects.publish(("a", "b"), "c", b"data")
    assert objects.read(("a", "b"), "c") == b"data"


HANG = """
import asyncio, os, sys, time
from flowstone.io import FileIO, Target

async def main():
    loop, reached = asyncio.get_running_loop(), asyncio.Event()
    os.fsync = lambda fd: (loop.call_soon_threadsafe(reached.set), time.sleep(600))
    storing = asyncio.create_task(FileIO(sys.argv[1]).store(Target("orders", None, "run", 1), 1))
    await reached.wait()
    storing.cancel()

asyncio.run(main())
"""


async def test_a_disk_that_hangs_does_not_hold_the_exit(root):
    """A process whose store hangs in the system for ever ends all the same."""
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", HANG, str(root))
    async with asyncio.timeout(200):
        assert await process.wait() == 0
