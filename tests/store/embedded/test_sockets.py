"""Where the socket is when the directory's own path is too long or too odd for one."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from flowstone.store.embedded import EmbeddedServer, postmaster
from flowstone.store.embedded.postmaster import Postmaster
from tests.store.embedded.users import kill_server, query, running


@pytest.mark.parametrize("name", ["x" * 120, "we \"ird' $(HOME) `x` ü, %20&host=b;\\"])
async def test_any_path_will_do(place, directory, name, monkeypatch):
    """The socket moves to the temporary directory, closed to others, and leaves with the server."""
    (place / "tmp").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(place / "tmp"))
    odd = directory.rename(place / name)
    server = EmbeddedServer(odd)
    dsn = server.start()
    assert await query(dsn, "SELECT 1") == 1
    (socket,) = (place / "tmp").iterdir()
    assert socket.stat().st_mode & 0o777 == 0o700
    kill_server(odd)
    assert await query(server.start(), "SELECT 1") == 1
    server.stop()
    assert running(odd) is None
    assert list((place / "tmp").iterdir()) == []
    assert not (odd / "socket").is_symlink()


async def test_a_long_temporary_directory_is_not_used(place, directory, monkeypatch):
    """Then it is /tmp, which is short."""
    long = place / ("x" * 120)
    long.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(long))
    odd = directory.rename(long / "pg")
    server = EmbeddedServer(odd)
    assert await query(server.start(), "SELECT 1") == 1
    socket = (odd / "socket").readlink()
    assert socket.parent == Path("/tmp")
    server.stop()
    assert not socket.exists()


def copy_of(directory: Path, name: str) -> Path:
    subprocess.run(["cp", "-a", directory, directory.with_name(name)], check=True)
    return directory.with_name(name)


async def test_a_copy_is_a_server_of_its_own(place, directory, monkeypatch):
    """A copy made while the original runs does not use, nor remove, the original's socket."""
    (place / "tmp").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(place / "tmp"))
    odd = directory.rename(place / "o d d")
    original = EmbeddedServer(odd)
    dsn = original.start()
    copy = EmbeddedServer(copy_of(odd, "c o p y"))
    assert copy.start() != dsn
    await query(dsn, "CREATE TABLE original (id int)")
    copy.stop()
    assert await query(dsn, "SELECT count(*) FROM original") == 0
    original.stop()
    assert list((place / "tmp").iterdir()) == []


async def test_links_and_relative_paths_mean_the_same_server(place, directory, monkeypatch):
    """A directory is itself by whatever name."""
    (place / "link").symlink_to(directory)
    monkeypatch.chdir(place)
    servers = [EmbeddedServer(path) for path in (directory, place / "link", "pg", "./link/../pg")]
    assert len({server.start() for server in servers}) == 1
    for server in servers:
        server.stop()
    assert running(directory) is None


def test_a_postmaster_is_known_without_proc(directory, monkeypatch):
    """Where there is no /proc, it is known by the data directory in its command."""
    server = EmbeddedServer(directory)
    server.start()
    (found,) = [Postmaster.of(directory / "data")]
    assert found.lives()
    if not Path("/bin/ps").exists():
        pytest.skip("needs ps")
    assert found._is_named()
    assert not Postmaster(directory / "data", os.getpid(), ready=True)._is_named()
    assert not Postmaster(directory, found.pid, ready=True)._is_named()
    server.stop()
    assert not found._is_named()
    assert not postmaster.answers(directory / "socket")
