"""A server ends with its last user, whatever ended that."""

from __future__ import annotations

import os
import shutil
import signal
import sys

import pytest

from flowstone.store.embedded import EmbeddedServer
from flowstone.store.embedded.wait_limit import WaitLimit
from tests.store.embedded.users import kill_server, query, reaper, running

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")


def stopped(directory):
    """Whether the server, and then its reaper, end by themselves."""
    return WaitLimit(200).until(lambda: running(directory) is None and reaper(directory) is None)


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL, signal.SIGHUP])
async def test_a_server_ends_with_a_user_that_stops_nothing(directory, use, how):
    """The default of SIGTERM runs no `finally`: the server is stopped all the same, and well."""
    user = use(directory)
    await query(user.answer(), "CREATE TABLE shop AS SELECT 7 AS id")
    user.process.send_signal(how)
    assert stopped(directory)
    assert not (directory / "socket").exists()
    assert "database system was interrupted" not in (directory / "server.log").read_text()
    server = EmbeddedServer(directory)
    assert await query(server.start(), "SELECT id FROM shop") == 7
    server.stop()
    assert reaper(directory) is None


async def test_a_server_goes_on_for_the_users_that_are_left(directory, use):
    """The death of one user is nothing to the others; that of the last one is the end."""
    users = [use(directory) for _ in range(3)]
    answers = {user.answer() for user in users}
    pid = running(directory)
    for user in users[:2]:
        user.kill()
        assert await query(*answers, "SELECT 1") == 1
    assert running(directory) == pid
    users[2].kill()
    assert stopped(directory)


def test_there_is_one_reaper(directory, use):
    """However many users come and go; it is nobody's child, and ends with the server."""
    server = EmbeddedServer(directory)
    server.start()
    first = reaper(directory)
    users = [use(directory) for _ in range(3)]
    assert len({user.answer() for user in users}) == 1
    assert reaper(directory) == first
    for user in users:
        user.stop()
    kill_server(directory)
    server.start()
    assert reaper(directory) == first
    server.stop()
    assert running(directory) is None
    assert reaper(directory) is None


def test_the_next_user_replaces_a_reaper_that_was_killed(directory, use):
    """Nothing is lost with it but its work, and the next start repairs that."""
    server = EmbeddedServer(directory)
    server.start()
    killed = reaper(directory)
    os.kill(killed, signal.SIGKILL)
    assert WaitLimit(200).until(lambda: reaper(directory) is None)
    server.start()
    assert reaper(directory) not in {None, killed}
    server.stop()
    assert reaper(directory) is None


def test_a_reaper_is_not_told_to_end(directory, use):
    """What ends a whole service, reaper included, ends its users: then the reaper is needed most."""
    user = use(directory)
    user.answer()
    for how in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        os.kill(reaper(directory), how)
    user.process.terminate()
    assert stopped(directory)


def test_users_may_come_while_the_reaper_looks(directory, use):
    """Whoever starts at the moment the last user dies has a server, the old one or a new one."""
    for _ in range(5):
        user = use(directory)
        user.answer()
        server = EmbeddedServer(directory)
        user.process.kill()
        server.start()
        assert running(directory)
        server.stop()
        assert stopped(directory)  # By us, or by the reaper if the user was not quite dead.


def test_a_directory_can_be_removed_at_once(directory):
    """After `stop` nobody has a file open in there, nor makes one."""
    for _ in range(3):
        server = EmbeddedServer(directory, options={"fsync": "off"})
        server.start()
        server.stop()
        shutil.rmtree(directory)
        assert not directory.exists()


def test_it_imports_nothing_from_the_working_directory(directory, place, monkeypatch):
    """Nor from what the environment adds to Python's path."""
    for name in ("fcntl", "pickle", "signal", "flowstone", "asyncio", "sitecustomize"):
        (place / f"{name}.py").write_text(f"open({str(place / 'caught')!r}, 'w').close()")
    monkeypatch.chdir(place)
    monkeypatch.setenv("PYTHONPATH", str(place))
    server = EmbeddedServer(directory)
    server.start()
    assert reaper(directory)
    server.stop()
    assert reaper(directory) is None
    assert not (place / "caught").exists()
