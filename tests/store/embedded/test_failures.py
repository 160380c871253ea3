"""What cannot start says why in one sentence, what to do, and the end of the log."""

from __future__ import annotations

import os
import subprocess
import sys
from types import SimpleNamespace

import pytest

from flowstone.errors import StoreUnavailable
from flowstone.store.embedded import EmbeddedServer, failure, server
from flowstone.store.embedded.failure import failed
from flowstone.store.embedded.layout import Layout
from tests.store.embedded.users import query, running


def refusal(directory, **options) -> str:
    with pytest.raises(StoreUnavailable) as caught:
        EmbeddedServer(directory, options=options).start()
    assert running(directory) is None
    return str(caught.value)


async def test_a_damaged_directory(directory):
    """PostgreSQL's own words follow ours; mended, it starts."""
    control = directory / "data" / "global" / "pg_control"
    control.rename(control.with_name("hidden"))
    said = refusal(directory)
    assert said.startswith(
        f"the server in {directory} did not start: fix what the log says, restore {directory} from a backup, or "
        f"remove it to start with an empty one; the end of {directory}/server.log:\n"
    )
    assert "could not find the database system" in said
    control.with_name("hidden").rename(control)
    mended = EmbeddedServer(directory)
    assert await query(mended.start(), "SELECT 1") == 1
    mended.stop()


def test_a_setting_that_does_not_exist(directory):
    """It is named, and the message is not about older troubles in the log."""
    (directory / "server.log").write_text("an old trouble\n")
    said = refusal(directory, not_a_setting="7")
    assert 'unrecognized configuration parameter "not_a_setting"' in said
    assert "old trouble" not in said


def test_data_that_is_none(directory):
    """A directory called data that holds something else is not touched."""
    (directory / "data" / "PG_VERSION").unlink()
    assert refusal(directory) == (
        f"{directory}/data is not a data directory of PostgreSQL, or is damaged (PG_VERSION is unreadable); "
        "restore it from a backup, or move it away to start with an empty one"
    )


def test_a_data_directory_itself(directory):
    """A cluster made by hand is not ours to start, and none is put inside."""
    assert refusal(directory / "data") == (
        f"{directory}/data is itself a data directory of PostgreSQL; give embedded Postgres a directory of its own"
    )


def test_a_file_is_not_a_directory(place):
    """Nor is something below a file."""
    (place / "file").write_text("")
    for path in (place / "file", place / "file" / "pg"):
        assert "is not a directory; give embedded Postgres a directory of its own" in refusal(path)


def test_a_lost_permission(directory):
    """A data directory that others may enter is refused by PostgreSQL, and the remedy is the mode."""
    (directory / "data").chmod(0o777)
    said = refusal(directory)
    assert "with mode 0700; give them back, or use another directory" in said
    assert "has invalid permissions" in said


def mount(*words) -> bool:
    return subprocess.run(["mount", *words], capture_output=True, check=False).returncode == 0


@pytest.fixture
def small_disk(place):
    """A disk with room for half a server."""
    disk = place / "disk"
    disk.mkdir()
    if not mount("-t", "tmpfs", "-o", "size=20m,mode=755", "tmpfs", disk):
        pytest.skip("needs the right to mount a small disk")
    yield disk
    subprocess.run(["umount", disk], check=True)


@pytest.mark.skipif(os.geteuid() != 0 or sys.platform != "linux", reason="only root can mount a small disk")
async def test_a_full_disk(small_disk):
    """It is called that, and once there is room the same directory can be used."""
    assert "the disk is full; make room and start again" in refusal(small_disk / "pg")
    mount("-o", "remount,size=200m", small_disk)
    server = EmbeddedServer(small_disk / "pg")
    assert await query(server.start(), "SELECT 1") == 1
    server.stop()


def test_a_disk_too_full_for_a_log(tmp_path, monkeypatch):
    """Where even the log is empty, the free space speaks for itself."""
    monkeypatch.setattr(failure.shutil, "disk_usage", lambda _: SimpleNamespace(free=1 << 20))
    assert "the disk is full" in str(failed(Layout(tmp_path), "x", "", 0))
    monkeypatch.setattr(failure.shutil, "disk_usage", lambda _: SimpleNamespace(free=1 << 40))
    assert "restore" in str(failed(Layout(tmp_path), "x", "", 0))


def test_somebody_else_never_finishes(directory, monkeypatch):
    """A process that was stopped within a start holds the others up for a while, not for ever."""
    monkeypatch.setattr(server, "_PATIENCE", 0.05)
    with server.account_for(directory / "data").lock(directory / "start.lock") as lock:
        assert lock.seize()
        assert "another process starts or stops the server" in refusal(directory)


def test_a_server_that_neither_answers_nor_ends(directory, monkeypatch):
    """It is not started twice."""
    monkeypatch.setattr(server, "_PATIENCE", 0.05)
    with server.account_for(directory / "data").lock(directory / "server.lock") as lock:
        assert lock.share()
        monkeypatch.setattr("flowstone.store.embedded.data_directory._SIGNALLED_WITHIN", 0.05)
        assert "neither answers nor ends" in refusal(directory)


def test_windows_is_told_so(place, monkeypatch):
    """There is no flock and no server for it."""
    monkeypatch.setattr(sys, "platform", "win32")
    with pytest.raises(StoreUnavailable, match=r"does not run on Windows; use WSL, or the postgresql:// URL"):
        EmbeddedServer(place / "pg").start()


def test_an_old_log_is_put_aside(directory):
    """The log does not grow for ever, and its end is kept."""
    (directory / "server.log").write_text("x" * (1 << 20) + "y")
    server = EmbeddedServer(directory)
    server.start()
    server.stop()
    assert (directory / "server.log.old").read_text().endswith("y")
    assert "database system is shut down" in (directory / "server.log").read_text()
