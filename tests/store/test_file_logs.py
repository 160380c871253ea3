"""Logs in files: readable, torn, written while they are read, and on a disk that is full."""

from __future__ import annotations

import json
import os
import stat

import pytest

from flowstone.errors import StoreUnavailable
from flowstone.store import FileStore, file_logs
from tests.store.facts import run
from tests.store.logs_contract import chunk, messages


@pytest.fixture
def path(directory):
    """The file of a run's log."""
    return directory / "logs" / "run-1.jsonl"


async def test_a_file_of_a_run_may_be_read_by_people(store, path):
    """A line of JSON for each line, for its owner alone."""
    await store.logs.append(7, [chunk("one\ntwo", "Ä", key="d:2025-01-15", fields={"rows": 3})])
    first, second = path.read_text().splitlines()
    assert json.loads(first) == {
        "at": "2025-01-15T00:00:00.000000+00:00",
        "level": "info",
        "asset": "raw",
        "partition_key": "d:2025-01-15",
        "attempt": 1,
        "message": "one\ntwo",
        "fields": {"rows": 3},
    }
    assert "Ä" in second
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


async def test_what_is_no_line_is_passed_over(store, path):
    """A line that was torn by a crash, and whatever else is there; what comes after it is read."""
    await store.logs.append(7, [chunk("one")])
    whole = path.read_text()
    for foreign in ('{"at": "20', "[]\n", "null\n", "\x00\n", whole.replace("info", "loud")):
        path.write_text(whole + foreign)
        await store.logs.append(7, [chunk("two", part=2)])
        assert await messages(store) == ["one", "two"]
    path.write_text(whole + whole[:20])
    page = await store.logs.page("run-1")
    assert ([line.message for line in page.lines], page.end) == (["one"], len(whole))
    path.write_text(whole + whole)
    assert await messages(store, after=page.end) == ["one"]
    assert await messages(store, after=page.end - 3) == ["one"]


async def test_another_process_reads_while_one_writes(store, directory):
    """What was kept since it looked at the store is there."""
    await store.logs.append(7, [chunk("one")])
    other = FileStore(directory, read_only=True)
    await other.open()
    await store.logs.append(7, [chunk("two", part=2)])
    assert await messages(other) == ["one", "two"]
    await other.logs.prune()
    await other.close()


async def test_a_full_disk_leaves_nothing_half_written(store, path, monkeypatch):
    """The same lines are tried again, and those of another run that had found room are there once."""
    await store.create_run(run("run-2"))
    await store.logs.append(7, [chunk("one")])
    before = path.read_bytes()
    real = os.fdopen
    opened = []

    def full(number, *how, **options):
        file = real(number, *how, **options)
        opened.append(file)
        return Full(file) if len(opened) > 1 else file

    monkeypatch.setattr(file_logs.os, "fdopen", full)
    chunks = [chunk("other", run_id="run-2", part=2), chunk("two", part=3)]
    with pytest.raises(StoreUnavailable, match="No space"):
        await store.logs.append(7, chunks)
    assert path.read_bytes() == before
    monkeypatch.undo()
    await store.logs.append(7, chunks)
    assert await messages(store) == ["one", "two"]
    assert await messages(store, "run-2") == ["other"]


class Full:
    """A file on a disk that takes ten bytes more."""

    def __init__(self, file):
        self._file = file
        self._left = 10

    def __enter__(self):
        self._file.__enter__()
        return self

    def __exit__(self, *how):
        return self._file.__exit__(*how)

    def __getattr__(self, name):
        return getattr(self._file, name)

    def write(self, data):
        if not self._left:
            raise OSError(28, "No space left on device")
        written = self._file.write(data[: self._left])
        self._left = 0
        return written


async def test_a_name_cannot_leave_the_folder(store, directory):
    """Whatever the id of a run is."""
    for name in ("../out", "a/b", "..", "x" * 300):
        await store.create_run(run(name))
        await store.logs.append(7, [chunk("one", run_id=name)])
    found = {str(each.relative_to(directory)) for each in directory.rglob("*") if each.is_file()}
    assert all(name.startswith(("logs/", "journal")) for name in found)
    assert await messages(store, "../out") == ["one"]
    assert await messages(store, "x" * 300) == []
