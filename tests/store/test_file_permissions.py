"""Who may read a journal: its owner alone, unless somebody says otherwise."""

from __future__ import annotations

import os
import stat

import pytest

from flowstone.store import FileStore, compaction, summary
from tests.store.facts import run

pytestmark = pytest.mark.skipif(os.name == "nt", reason="permissions are POSIX")


@pytest.fixture(autouse=True)
def umask():
    """A process that hides nothing by itself."""
    before = os.umask(0)
    yield
    os.umask(before)


def modes(directory) -> dict[str, int]:
    """Permissions of the directory and what is in it."""
    return {path.name: stat.S_IMODE(path.stat().st_mode) for path in (directory, *directory.iterdir())}


@pytest.mark.parametrize(("given", "file", "folder"), [({}, 0o600, 0o700), ({"mode": 0o640}, 0o640, 0o750)])
async def test_a_journal_is_its_owners_alone(directory, monkeypatch, given, file, folder):
    """Whatever the umask, the folder, the journal and the lock are private, after a compaction too."""
    monkeypatch.setattr(compaction, "_LEAST", 0)
    monkeypatch.setattr(summary, "_MOST", 100.0)
    store = FileStore(directory, **given)
    await store.open()
    inode = (directory / "journal.jsonl").stat().st_ino
    for number in range(5):
        await store.create_run(run(f"run-{number}"))
    await store._compactor.idle()
    assert (directory / "journal.jsonl").stat().st_ino != inode
    assert modes(directory) == {"runs": folder, "journal.jsonl": file, "journal.lock": file}
    assert stat.S_IMODE(directory.parent.stat().st_mode) == folder
    await store.close()


async def test_a_journal_keeps_the_permissions_somebody_gave_it(directory, monkeypatch):
    """What was let in by hand stays in when the journal is written again."""
    monkeypatch.setattr(compaction, "_LEAST", 0)
    monkeypatch.setattr(summary, "_MOST", 100.0)
    store = FileStore(directory)
    await store.open()
    (directory / "journal.jsonl").chmod(0o644)
    for number in range(5):
        await store.create_run(run(f"run-{number}"))
    await store._compactor.idle()
    assert modes(directory)["journal.jsonl"] == 0o644
    await store.close()


def test_a_mode_that_is_none_is_refused(directory):
    """Decimal for octal is a mistake."""
    with pytest.raises(ValueError, match="in octal, such as 0o600"):
        FileStore(directory, mode=640)
