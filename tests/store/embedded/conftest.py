"""Directories for embedded servers, new or used, in which nothing survives its test."""

from __future__ import annotations

import shutil
import signal
import subprocess
import tempfile
from pathlib import Path

import pytest

from flowstone.store.embedded import EmbeddedServer
from flowstone.store.embedded.postmaster import Postmaster
from flowstone.store.embedded.wait_limit import WaitLimit
from tests.postgres import deadlocks_in
from tests.store.embedded.users import User, reaper

UNSYNCED = {"fsync": "off"}


def end_servers(place: Path) -> None:
    """End what a test has left running, and remove its files."""
    for lock in [*place.rglob("reaper.lock")]:
        WaitLimit(200).until(lambda lock=lock: reaper(lock.parent) is None)
    for file in [*place.rglob("postmaster.pid")]:
        postmaster = Postmaster.of(file.parent)
        if postmaster is not None and postmaster.tell(signal.SIGQUIT):
            assert WaitLimit(200).until(lambda running=postmaster: not running.lives())
    deadlocks = [told for log in place.rglob("server.log") for told in deadlocks_in(log)]
    shutil.rmtree(place)
    assert not deadlocks, "statements waited for each other:\n" + "\n".join(deadlocks)


@pytest.fixture
def place(postgres_server):
    """A directory that the server's user can enter, within one that goes even if the session is killed."""
    place = Path(tempfile.mkdtemp(dir=postgres_server.directory.parent))
    place.chmod(0o755)
    yield place
    end_servers(place)


@pytest.fixture(scope="session")
def used_before(postgres_server):
    """A directory whose server has run and stopped, to be copied: initdb is most of a first start."""
    directory = postgres_server.directory.with_name("used")
    server = EmbeddedServer(directory, options=UNSYNCED)
    server.start()
    server.stop()
    return directory


@pytest.fixture
def directory(place, used_before):
    """The directory of a server that has run before."""
    subprocess.run(["cp", "-a", used_before, place / "pg"], check=True)
    return place / "pg"


@pytest.fixture
def use(place):
    """Start processes that use a server; those that are left are killed when the test is over."""
    users: list[User] = []

    def start(directory: Path, **how: object) -> User:
        users.append(User(directory, **how))
        return users[-1]

    yield start
    for user in users:
        user.kill()
