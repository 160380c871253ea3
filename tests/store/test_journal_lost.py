"""A journal that something else removes, replaces or changes while it is open: nothing is acknowledged falsely."""

from __future__ import annotations

import asyncio
import os
import shutil

import pytest

from flowstone.errors import StoreUnavailable
from flowstone.store import FileStore
from tests.store.facts import end, run
from tests.store.looking import journal, reread

A = ("a", None)


def remove_folder(directory):
    shutil.rmtree(directory)


def rename_folder(directory):
    directory.rename(directory.with_name("elsewhere"))


def replace_folder(directory):
    rename_folder(directory)
    shutil.copytree(directory.with_name("elsewhere"), directory)


def link_elsewhere(directory):
    replace_folder(directory)
    directory.rename(directory.with_name("copy"))
    directory.symlink_to(directory.with_name("copy"))


def remove_journal(directory):
    journal(directory).unlink()


def edit_in_place(directory):
    """As `sed -i` does."""
    edited = directory / "sedXYZ"
    shutil.copy(journal(directory), edited)
    edited.replace(journal(directory))


def empty(directory):
    journal(directory).write_bytes(b"")


def shorten(directory):
    os.truncate(journal(directory), journal(directory).stat().st_size - 1)


def lengthen(directory):
    with journal(directory).open("ab") as file:
        file.write(b"mine\n")


def remove_lock(directory):
    (directory / "journal.lock").unlink()


def replace_lock(directory):
    remove_lock(directory)
    (directory / "journal.lock").touch()


def found(directory):
    """What lies at the journal's path."""
    return journal(directory).read_bytes() if journal(directory).exists() else None


DEEDS = [
    (remove_folder, "is gone"),
    (rename_folder, "is gone"),
    (replace_folder, "is another file"),
    (link_elsewhere, "is another file"),
    (remove_journal, "is gone"),
    (edit_in_place, "is another file"),
    (empty, "was shortened"),
    (shorten, "was shortened"),
    (lengthen, "was written to"),
    (remove_lock, "the lock .* was removed"),
    (replace_lock, "the lock .* was removed or replaced"),
]


@pytest.mark.parametrize(("deed", "says"), DEEDS)
async def test_a_lost_journal_takes_no_writes(store, directory, deed, says):
    """The next write is refused with the reason and a remedy, nothing is recorded, and the problem is shown."""
    assert store.problem is None
    deed(directory)
    before = found(directory)
    for _ in range(2):
        with pytest.raises(StoreUnavailable, match=f"{says}.*nothing more will be.*open the store again"):
            await store.write(end("a"))
    assert says.split()[-1] in store.problem
    assert (await store.current([A]), found(directory)) == ({}, before)
    await store.close()
    assert found(directory) == before


@pytest.mark.parametrize(("deed", "says"), DEEDS)
async def test_a_journal_lost_while_it_is_written_acknowledges_nothing(store, directory, disk, deed, says):
    """What happens between the first byte of a batch and the end of its fsync is noticed as well."""
    disk.gate.clear()
    writing = asyncio.create_task(store.write(end("a")))
    await asyncio.to_thread(disk.reached.wait, 60)
    deed(directory)
    disk.gate.set()
    with pytest.raises(StoreUnavailable, match=f"{says}.*nothing more will be"):
        await writing
    assert await store.current([A]) == {}


@pytest.mark.parametrize(("deed", "says"), DEEDS)
async def test_an_idle_store_notices_too(store, directory, deed, says):
    """Retention, which asks every few seconds, finds out before somebody has something to record."""
    assert await store.prune(keep_versions=1, keep_runs=1) == []
    deed(directory)
    with pytest.raises(StoreUnavailable, match=says):
        await store.prune(keep_versions=1, keep_runs=1)
    assert store.problem is not None


async def test_a_lost_store_goes_on_when_it_is_opened_again(store, directory):
    """With the journal put back, the same store object reads it and takes writes; the lock is free meanwhile."""
    rename_folder(directory)
    with pytest.raises(StoreUnavailable, match="is gone"):
        await store.write(end("a"))
    directory.with_name("elsewhere").rename(directory)
    with pytest.raises(StoreUnavailable, match="is gone"):  # Who knows what was done to it there.
        await store.write(end("a"))
    await store.close()
    await store.open()
    assert store.problem is None
    await store.write(end("a"))
    assert set(await (await reread(directory)).current([A])) == {A}


async def test_what_leaves_the_journal_in_its_place_is_no_loss(store, directory, monkeypatch):
    """Renamed there and back, reached through a link, linked into a backup, or relative to a past directory."""
    rename_folder(directory)
    directory.symlink_to(directory.with_name("elsewhere"))
    await store.write(end("a", "linked"))
    directory.unlink()
    directory.with_name("elsewhere").rename(directory)
    await store.write(end("a", "back"))
    os.link(journal(directory), directory.with_name("backup"))
    await store.write(end("a", "backup"))
    await store.close()
    monkeypatch.chdir(directory.parent)
    relative = FileStore(directory.name)
    await relative.open()
    monkeypatch.chdir(directory.parent.parent)
    await relative.write(end("a", "moved"))
    await relative.close()
    assert [one.partition_key for one in await (await reread(directory)).steps("run-1")] == [
        "linked",
        "back",
        "backup",
        "moved",
    ]


@pytest.mark.parametrize("broken", ["write", "fsync"])
async def test_a_disk_that_refuses_is_shown_until_it_takes_a_write(store, disk, broken):
    """A full disk, or one that is mounted read-only, is no loss: its problem is shown while it lasts."""
    disk.broken = {broken}
    with pytest.raises(StoreUnavailable, match="goes on by itself"):
        await store.write(end("a"))
    assert "Input/output error" in store.problem
    disk.broken.clear()
    await store.write(end("a"))
    assert store.problem is None


async def test_two_stores_do_not_share_what_was_replaced(store, directory):
    """A process that opens what was put in a journal's place has it for itself: the first one writes no more."""
    replace_folder(directory)
    other = FileStore(directory)
    await other.open()
    await other.write(end("b"))
    with pytest.raises(StoreUnavailable, match="another file"):
        await store.create_run(run("run-2"))
    await other.close()
    assert [one.asset for one in await (await reread(directory)).steps("run-1")] == ["b"]
