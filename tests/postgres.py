"""A PostgreSQL server for the whole test session, and fresh databases in it.

A test asks for `database`, the URL of a database of its own with the newest schema in it, or for `empty_database`.
Where tests want more in theirs they override `template_database`, see `make_template`.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import asyncpg
import pytest

from flowstone.store.embedded import EmbeddedServer
from flowstone.store.postgres import PostgresStore

FAST = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "deadlock_timeout": "10ms",
}
"""Settings of a server whose data nobody will miss."""

# Ends the server of a test session that was killed: its standard input closes when the session is gone.
REAPER = 'cat; kill -INT "$(head -n 1 "$1/pg/data/postmaster.pid")"; sleep 1; rm -rf "$1"'

ROOM = 2 << 30
"""Bytes, more than a test session uses."""

numbers = count(1)


def place_for_servers() -> Path:
    """A new directory that the user whom root lets run the server can enter: pytest's own are closed to others.

    In memory where there is room, for a server is a thousand files.
    """
    memory = Path("/dev/shm")
    roomy = memory.is_dir() and os.access(memory, os.W_OK) and shutil.disk_usage(memory).free > ROOM
    place = Path(tempfile.mkdtemp(prefix="flowstone-tests-", dir=memory if roomy else None))
    place.chmod(0o755)
    return place


@dataclass(frozen=True)
class PostgresServer:
    """A running server: `dsn` is the URL of its maintenance database."""

    dsn: str
    directory: Path

    def url(self, name: str) -> str:
        """The URL of another database of it."""
        return self.dsn.replace("@/postgres?", f"@/{name}?")


@pytest.fixture(scope="session")
def postgres_server():
    """One embedded server for the session, without durability, in a directory that is removed afterwards."""
    place = place_for_servers()
    reaper = subprocess.Popen(
        ["/bin/sh", "-c", REAPER, "sh", place],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    server = EmbeddedServer(place / "pg", options=FAST)
    try:
        yield PostgresServer(server.start(), place / "pg")
    finally:
        server.stop()
        deadlocks = deadlocks_in(place / "pg" / "server.log")
        shutil.rmtree(place, ignore_errors=True)
        reaper.kill()
        reaper.communicate()
    assert not deadlocks, "statements waited for each other:\n" + "\n".join(deadlocks)


def end_lingering(directory: Path) -> None:
    """Stop the server that commands have left to the next one, so that its directory can be removed."""
    server = EmbeddedServer(directory)
    server.start()
    server.stop()


def deadlocks_in(log: Path) -> list[str]:
    """What a server's log says of deadlocks: each with the statements that were involved."""
    lines = log.read_text(errors="replace").splitlines() if log.exists() else []
    found = [number for number, line in enumerate(lines) if "deadlock detected" in line]
    return ["\n".join(line[:400] for line in lines[number : number + 12]) for number in found]


@pytest.fixture(scope="session")
def template_database(postgres_server) -> str:
    """What a test's database is a copy of: one with the newest schema in it, which is made once."""

    async def fill(dsn: str) -> None:
        await PostgresStore(dsn).migrate()

    return make_template(postgres_server, "flowstone_template", fill)


@pytest.fixture
async def database(postgres_server, template_database):
    """The URL of a fresh database, dropped afterwards whoever is still connected to it."""
    async with fresh_database(postgres_server, template_database) as dsn:
        yield dsn


@pytest.fixture
async def empty_database(postgres_server):
    """As `database`, without anything in it."""
    async with fresh_database(postgres_server) as dsn:
        yield dsn


@asynccontextmanager
async def fresh_database(server: PostgresServer, template: str = "template0") -> AsyncIterator[str]:
    """Make a copy of a template database, give its URL, and drop it in the end."""
    name = f"test_{os.getpid()}_{next(numbers)}"
    await _administer(server, f'CREATE DATABASE "{name}" TEMPLATE "{template}" STRATEGY file_copy')
    try:
        yield server.url(name)
    finally:
        await _administer(server, f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')


def make_template(server: PostgresServer, name: str, fill: Callable[[str], Awaitable[None]]) -> str:
    """Make a database to be copied, let `fill` put tables into it, given its URL, and return its name.

    For a session fixture: it runs a loop of its own, and `fill` has to close its connections.
    """

    async def make() -> None:
        await _administer(server, f'CREATE DATABASE "{name}" TEMPLATE template0')
        await fill(server.url(name))

    asyncio.run(make())
    return name


async def _administer(server: PostgresServer, statement: str) -> None:
    connection = await asyncpg.connect(server.dsn)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()
