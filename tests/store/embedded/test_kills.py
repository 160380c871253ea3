"""kill -9 of users, of the server, of both: the next start repairs what it finds, and nothing is lost."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import asyncpg
import pytest

from flowstone.store.embedded import EmbeddedServer
from flowstone.store.embedded.postmaster import Postmaster
from flowstone.store.embedded.wait_limit import WaitLimit
from tests.store.embedded.users import kill_server, query, reaper, running


@pytest.fixture
def server(directory):
    """An object of this process for the directory, stopped when the test is over."""
    server = EmbeddedServer(directory)
    yield server
    server.stop()


async def test_a_killed_user_is_no_user(directory, server, use):
    """A server one of whose users was killed runs on, and is stopped by the last of the others."""
    killed = use(directory)
    await query(killed.answer(), "CREATE TABLE shop AS SELECT 7 AS id")
    pid = running(directory)
    server.start()
    killed.kill()
    assert await query(server.start(), "SELECT id FROM shop") == 7
    assert running(directory) == pid is not None
    server.stop()
    assert running(directory) is None


async def test_a_killed_server_is_started_again_for_its_users(directory, server, use):
    """Each user that calls `start` again gets it back, with all that was committed."""
    user = use(directory)
    dsn = user.answer()
    server.start()
    await query(dsn, "CREATE TABLE shop AS SELECT 7 AS id")
    killed = kill_server(directory)
    assert user.again() == server.start() == dsn
    assert running(directory) not in {None, killed}
    assert await query(dsn, "SELECT id FROM shop") == 7
    server.stop()
    assert running(directory)
    user.stop()
    assert running(directory) is None


async def test_what_was_committed_survives_any_number_of_kills(directory, server):
    """A server killed right after an answer has what it answered for, each time."""
    dsn = server.start()
    await query(dsn, "CREATE TABLE shop (id int)")
    sold = 0
    for sales in (1, 5, 20, 3, 50):
        connection = await asyncpg.connect(server.start())
        assert await connection.fetchval("SELECT count(*) FROM shop") == sold
        for _ in range(sales):
            await connection.execute("INSERT INTO shop VALUES ($1)", sold)
            sold += 1
        kill_server(directory)
        connection.terminate()
    assert await query(server.start(), "SELECT count(DISTINCT id) FROM shop") == sold


async def test_all_are_killed(directory, server, use):
    """After the crash of everything, the next start is a start."""
    user = use(directory)
    await query(user.answer(), "CREATE TABLE shop AS SELECT 7 AS id")
    os.kill(reaper(directory), signal.SIGKILL)
    user.kill()
    kill_server(directory)
    assert await query(server.start(), "SELECT id FROM shop") == 7


def resume_soon(pid: int) -> subprocess.Popen:
    return subprocess.Popen(["sh", "-c", f"sleep 0.3; kill -CONT {pid}"])


def made_zombie() -> subprocess.Popen:
    """A process that has ended and is still in the table of processes, until `communicate`."""
    zombie = subprocess.Popen([sys.executable, "-c", ""])
    os.waitid(os.P_PID, zombie.pid, os.WEXITED | os.WNOWAIT)
    return zombie


async def test_processes_that_outlive_their_server_are_waited_for(directory, server):
    """A start after the kill of a busy server waits for its last process, whose shared memory is still in use."""
    connection = await asyncpg.connect(server.start())
    backend = await connection.fetchval("SELECT pg_backend_pid()")
    os.kill(backend, signal.SIGSTOP)
    kill_server(directory)
    resuming = resume_soon(backend)
    assert await query(server.start(), "SELECT 1") == 1
    resuming.communicate()
    connection.terminate()


async def test_a_zombie_is_not_a_server(directory, server):
    """A dead postmaster that nobody has reaped is no reason to wait, though its process id still exists."""
    server.start()
    killed = kill_server(directory)
    assert running(directory) is None
    zombie = made_zombie()
    rewrite_pid(directory, killed, zombie.pid)
    assert await query(server.start(), "SELECT 1") == 1
    zombie.communicate()


async def test_a_pid_file_that_names_a_stranger_is_stale(directory, server):
    """After a reboot the old process id may be anybody's, even another server's of the same user."""
    server.start()
    killed = kill_server(directory)
    stranger = EmbeddedServer(directory.with_name("other"), options={"fsync": "off"})
    stranger.start()
    other = running(directory.with_name("other"))
    rewrite_pid(directory, killed, other)
    assert await query(server.start(), "SELECT 1") == 1
    assert running(directory) != other
    server.stop()
    assert running(directory.with_name("other")) == other
    stranger.stop()


def rewrite_pid(directory, old: int, new: int) -> None:
    file = directory / "data" / "postmaster.pid"
    assert file.read_text().startswith(f"{old}\n")
    file.write_text(file.read_text().replace(f"{old}\n", f"{new}\n", 1))


async def test_an_interrupted_setup_is_begun_anew(place, server, use):
    """A process killed within initdb leaves nothing that could be taken for a data directory."""
    fresh = place / "fresh"
    user = use(fresh)
    assert WaitLimit(200).until((fresh / "data.unfinished" / "PG_VERSION").exists)
    user.kill()
    assert not (fresh / "data").exists()
    next_one = EmbeddedServer(fresh, options={"fsync": "off"})
    assert await query(next_one.start(), "SELECT 1") == 1
    next_one.stop()
    assert not (fresh / "data.unfinished").exists()


async def test_a_user_killed_while_the_server_starts(directory, server, use):
    """Whoever comes next waits for that server and takes it over."""
    user = use(directory)
    assert WaitLimit(200).until(lambda: Postmaster.of(directory / "data") is not None)
    user.kill()
    assert await query(server.start(), "SELECT 1") == 1
    server.stop()
    assert running(directory) is None


async def test_a_server_started_by_hand_is_let_alone(directory, server):
    """Two servers in one data directory would destroy it, so one that is not ours is named and refused."""
    server.start()
    server.stop()
    server.start()
    (directory / "server.lock").rename(directory / "lost.lock")
    other = EmbeddedServer(directory)
    # A running server whose lock file is not ours to see is as good as one started by hand.
    with pytest.raises(
        Exception, match=rf"process {running(directory)} is a server in .* did not start; stop it"
    ):
        other.start()
    (directory / "lost.lock").rename(directory / "server.lock")
    assert await query(server.start(), "SELECT 1") == 1
