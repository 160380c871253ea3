"""A server goes on for a while after its last user, for the next one, and never outlives its directory."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from flowstone.errors import StoreUnavailable
from flowstone.store import open_store
from flowstone.store.embedded import EmbeddedServer
from flowstone.store.embedded.account import account_for
from flowstone.store.embedded.reaper import announce
from flowstone.store.embedded.wait_limit import WaitLimit
from flowstone.store.lock import FileLock
from tests.store.embedded.users import query, reaper, running

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")

LONG = 600.0
"""Seconds; no test waits for their end."""


def ended(pid: int) -> bool:
    """Whether a process ends by itself."""
    return WaitLimit(60).until(lambda: not _lives(pid))


def _lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def stopped(directory: Path) -> bool:
    """Whether the server, and then its reaper, end by themselves."""
    return WaitLimit(60).until(lambda: running(directory) is None and reaper(directory) is None)


def locks(file: Path) -> list[list[str]]:
    """The kernel's lines about a lock file; of one who waits the second word is an arrow."""
    inode = file.stat().st_ino
    lines = [line.split() for line in Path("/proc/locks").read_text().splitlines()]
    return [words for words in lines if any(word.endswith(f":{inode}") for word in words)]


def sleeps(pid: int) -> int:
    """How often a process has waited for something."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("\nvoluntary_ctxt_switches:")[2].split()[0])


@pytest.fixture
def lingering(directory, use):
    """A directory whose server has no user and goes on."""
    user = use(directory, linger=LONG)
    user.answer()
    user.stop()
    yield directory
    if directory.exists():
        last = EmbeddedServer(directory)
        last.start()
        last.stop()


async def test_the_next_user_joins_the_server_that_is_left(lingering, use):
    """It is the same server, however many users come and leave one after the other; `stop` ends it at once."""
    pid = running(lingering)
    for _ in range(3):
        user = use(lingering, linger=LONG)
        assert await query(user.answer(), "SELECT 1") == 1
        user.stop()
        assert running(lingering) == pid is not None
    server = EmbeddedServer(lingering, linger=LONG)
    server.start()
    server.stop()
    assert running(lingering) is None
    assert reaper(lingering) is None


@pytest.mark.parametrize("killed", [False, True])
def test_it_stops_when_nobody_comes(directory, use, killed):
    """Not before its time, whether the last user left or was killed; and well."""
    user = use(directory, linger=0.7)
    user.answer()
    since = time.monotonic()
    user.kill() if killed else user.stop()
    assert stopped(directory)
    assert time.monotonic() - since >= 0.7
    assert not (directory / "socket").exists()
    assert "database system was interrupted" not in (directory / "server.log").read_text()


def test_the_user_that_came_or_left_last_decides(directory, use):
    """One that stays says its own time again when it leaves."""
    first, second = use(directory, linger=LONG), use(directory, linger=0)
    first.answer()
    second.answer()
    second.stop()
    first.stop()
    pid = running(directory)
    third = use(directory, linger=0)
    third.answer()
    assert running(directory) == pid is not None
    third.kill()
    assert stopped(directory)


async def test_a_store_leaves_its_server_to_the_next(directory):
    """`close` lingers; to migrate, or to look as `flowstone doctor` does, leaves nothing behind."""
    url = f"embedded://{directory}?linger={LONG:.0f}"
    store = open_store(url)
    await store.open()
    await store.close()
    pid = running(directory)
    again = open_store(url)
    await again.open()
    assert running(directory) == pid is not None
    await again.close()
    await again.diagnose()
    assert running(directory) is None
    await again.migrate()
    assert running(directory) is None


async def test_a_directory_that_is_renamed_is_not_outlived(lingering):
    """Its server stops; what it kept is there under the new name, and a new database at the old one is untouched.

    PostgreSQL would write its last checkpoint into the new database, so there must be none.
    """
    server = EmbeddedServer(lingering, linger=LONG)
    await query(server.start(), "CREATE TABLE shop AS SELECT 7 AS id")
    server.leave()
    pid = running(lingering)
    moved = lingering.rename(lingering.with_name("moved"))
    anew = EmbeddedServer(lingering, options={"fsync": "off"})
    dsn = anew.start()
    assert ended(pid)
    assert WaitLimit(60).until(lambda: reaper(moved) is None)
    assert await query(dsn, "SELECT 1") == 1
    anew.stop()
    there = EmbeddedServer(moved)
    assert await query(there.start(), "SELECT id FROM shop") == 7
    there.stop()
    assert "PANIC" not in (moved / "server.log").read_text()
    assert await query(anew.start(), "SELECT to_regclass('shop')") is None
    anew.stop()


@pytest.mark.parametrize("name", ["pg", "n" * 100])
def test_a_directory_that_is_removed_is_not_outlived(place, directory, use, name):
    """The server stops, makes nothing there again, and nothing of it is left where its socket may be instead."""
    directory = directory.rename(place / name)
    user = use(directory, linger=LONG)
    user.answer()
    user.stop()
    pid, guard, socket = running(directory), reaper(directory), (directory / "socket").resolve()
    assert socket.exists()
    subprocess.run(["rm", "-rf", directory], check=True)  # Which the end of the server does not disturb.
    assert ended(pid)
    assert ended(guard)
    assert not directory.exists()
    assert not socket.exists()


def test_a_directory_that_is_half_removed_keeps_no_socket_elsewhere(place, directory, use):
    """The link to it may have been removed before the server has ended, and the rest not yet."""
    directory = directory.rename(place / ("n" * 100))
    user = use(directory, linger=LONG)
    user.answer()
    user.stop()
    pid, guard, socket = running(directory), reaper(directory), (directory / "socket").resolve()
    (directory / "socket").unlink()
    (directory / "data" / "postmaster.pid").unlink()
    assert ended(pid)
    assert ended(guard)
    assert not socket.exists()


def test_a_user_that_leaves_sees_to_a_reaper(directory, use):
    """If it was killed in use there is a new one; killed later, the next user starts one."""
    user = use(directory, linger=LONG)
    user.answer()
    first = reaper(directory)
    os.kill(first, signal.SIGKILL)
    assert ended(first)
    user.stop()
    second = reaper(directory)
    assert second not in {None, first}
    os.kill(second, signal.SIGKILL)
    assert ended(second)
    assert running(directory)
    server = EmbeddedServer(directory, linger=LONG)
    server.start()
    assert reaper(directory) not in {None, first, second}
    server.stop()
    assert running(directory) is None


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGHUP])
def test_the_end_of_a_session_is_not_lingered_out(lingering, how):
    """A reaper that is told to end stops a server without users."""
    os.kill(reaper(lingering), how)
    assert stopped(lingering)


async def test_users_may_come_as_the_time_ends(directory):
    """Whoever comes while the reaper decides has a server that answers, the old one or a new one."""
    for round_ in range(20):
        server = EmbeddedServer(directory, linger=0.001 * round_ + 0.001, options={"fsync": "off"})
        assert await query(server.start(), "SELECT 1") == 1
        server.leave()
    assert stopped(directory)


def test_the_reaper_decides_anew_if_somebody_came_and_left_meanwhile(directory, use):
    """Between the end of the time and its decision, which waits for whoever starts or stops the server."""
    user, server = use(directory, linger=0.01), EmbeddedServer(directory)
    user.answer()
    pid = running(directory)
    with server._alone(account_for(directory / "data"), WaitLimit(60)):
        user.kill()
        assert WaitLimit(60).until(lambda: any(words[1] == "->" for words in locks(directory / "start.lock")))
        with FileLock(directory / "presence.lock") as presence:
            announce(presence, LONG)
        guard = reaper(directory)
        asleep = sleeps(guard)
    assert WaitLimit(60).until(lambda: sleeps(guard) > asleep)  # It has decided, and does the next thing.
    server.start()
    assert running(directory) == pid
    server.stop()
    assert running(directory) is None


@pytest.mark.parametrize("linger", [-1, float("nan"), float("inf")])
def test_a_time_that_is_none_is_refused(place, linger):
    with pytest.raises(ValueError, match="linger is a number of seconds"):
        EmbeddedServer(place / "pg", linger=linger)


@pytest.mark.parametrize(
    "rest", ["x?linger=", "x?linger=soon", "x?linger=-1", "x?linger=inf", "x?linger=1?linger=2"]
)
def test_a_url_that_says_no_time_is_refused(rest):
    with pytest.raises(StoreUnavailable, match="'linger' is a number of seconds"):
        open_store(f"embedded://{rest}")
