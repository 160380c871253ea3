"""A directory, its disk and an open file store."""

from __future__ import annotations

import pytest

from flowstone.store import FileStore
from tests.store.disks import Disk
from tests.store.facts import end, run


@pytest.fixture
def directory(tmp_path):
    """A directory that does not exist yet."""
    return tmp_path / "deep" / "runs"


@pytest.fixture
def disk(monkeypatch):
    """The journal's disk, to be told to fail."""
    return Disk(monkeypatch)


@pytest.fixture
async def store(directory):
    """An open store with one run."""
    store = FileStore(directory)
    await store.open()
    await store.create_run(run())
    yield store
    await store.close()


@pytest.fixture
async def written(directory):
    """A journal of a few lines, and its bytes."""
    store = FileStore(directory)
    await store.open()
    await store.create_run(run())
    for number in range(3):
        await store.write(end("a", str(number)))
    await store.close()
    return (directory / "journal.jsonl").read_bytes()
