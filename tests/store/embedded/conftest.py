"""Directories for embedded servers, new or used, in which nothing survives its test."""

from __future__ import annotations

import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from flowstone.store.embedded import EmbeddedServer
from flowstone.store.embedded.patience import Patience
from flowstone.store.embedded.postmaster import Postmaster
from tests.postgres import place_for_servers
from tests.store.embedded.users import User

UNSYNCED = {"fsync": "off"}


def end_servers(place: Path) -> None:
    """End what a test has left running, and remove its files."""
    for file in [*place.rglob("postmaster.pid")]:
        postmaster = Postmaster.of(file.parent)
        if postmaster is not None and postmaster.tell(signal.SIGQUIT):
            assert Patience(10).until(lambda running=postmaster: not running.lives())
    shutil.rmtree(place)


@pytest.fixture
def place():
    place = place_for_servers()
    yield place
    end_servers(place)


@pytest.fixture(scope="session")
def used_before():
    """A directory whose server has run and stopped, to be copied: initdb is most of a first start."""
    place = place_for_servers()
    server = EmbeddedServer(place / "pg", options=UNSYNCED)
    server.start()
    server.stop()
    yield place / "pg"
    end_servers(place)


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
