"""Folders nothing leads out of, with `openat` and, as on Windows, without it."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path

import pytest

from flowstone.errors import IOManagerError
from flowstone.io import FileIO
from flowstone.io.folders import Folder
from tests.io.contract import IOManagerContract, target


@pytest.fixture(params=[True, False], ids=["openat", "paths"])
def folder(request, tmp_path):
    """An open folder, by descriptor or by path."""
    with Folder.root(str(tmp_path / "root"), create=True, openat=request.param) as root:
        yield root


def write(folder, name, data):
    fd = folder.open_new(name)
    os.write(fd, data)
    os.close(fd)


def test_a_new_file_is_read_back(folder):
    """What is written to a new file is what is read."""
    write(folder, "a", b"data")
    assert folder.read("a") == b"data"
    assert folder.names() == ["a"]


def test_a_new_file_must_be_new(folder):
    """Opening a file for writing never truncates one that exists."""
    write(folder, "a", b"data")
    with pytest.raises(FileExistsError):
        folder.open_new("a")
    assert folder.read("a") == b"data"


def test_folders_are_made_on_request_only(folder):
    """A folder that does not exist is an error, unless it is to be created; twice is no error."""
    with pytest.raises(FileNotFoundError):
        folder.folder("sub", create=False)
    for _ in range(2):
        with folder.folder("sub", create=True) as sub:
            sub.sync()
    assert folder.names() == ["sub"]


def test_move_never_replaces(folder):
    """A file is moved under its new name whole, and never over another."""
    write(folder, "a", b"a")
    write(folder, "b", b"b")
    with folder.folder("sub", create=True) as sub:
        folder.move("a", sub, "c")
        with pytest.raises(FileExistsError):
            folder.move("b", sub, "c")
        assert sub.read("c") == b"a"
    assert sorted(folder.names()) == ["b", "sub"]


def test_remove_tells_whether_there_was_a_file(folder):
    """Removing what is not there is no error."""
    write(folder, "a", b"")
    assert folder.remove("a")
    assert not folder.remove("a")


def test_links_are_never_followed(folder, tmp_path):
    """A link to a file is not read or written through, one to a folder not entered; both can be removed."""
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "file").write_bytes(b"secret")
    (tmp_path / "root" / "file").symlink_to(tmp_path / "outside" / "file")
    (tmp_path / "root" / "dangling").symlink_to(tmp_path / "outside" / "new")
    (tmp_path / "root" / "folder").symlink_to(tmp_path / "outside")
    with pytest.raises(OSError, match=r"(?i)symbolic link|loop"):
        folder.read("file")
    with pytest.raises(FileExistsError):
        folder.open_new("dangling")
    for create in (False, True):
        with pytest.raises(NotADirectoryError):
            folder.folder("folder", create=create)
    assert folder.remove("folder")
    assert sorted(path.name for path in (tmp_path / "outside").iterdir()) == ["file"]


def test_only_regular_files_are_read(folder, tmp_path):
    """A folder or a FIFO in the place of a file is an error, at once."""
    os.mkfifo(tmp_path / "root" / "fifo")
    (tmp_path / "root" / "sub").mkdir()
    for name in ("fifo", "sub"):
        with pytest.raises(OSError, match=r"not a regular file|directory"):
            folder.read(name)


@pytest.mark.parametrize("openat", [True, False])
def test_the_root_must_be_a_folder(tmp_path, openat):
    """A file in the place of the root or above it is an error, also when it is to be created."""
    (tmp_path / "file").write_text("in the way")
    for path in (tmp_path / "file", tmp_path / "file" / "root"):
        for create in (False, True):
            with pytest.raises(NotADirectoryError):
                Folder.root(str(path), create=create, openat=openat)


def test_a_new_root_is_durable_in_the_folders_above(tmp_path, monkeypatch):
    """Every folder made on the way to the root is synced in the one above it, and only those."""
    synced = []
    monkeypatch.setattr(os, "fsync", lambda fd: synced.append(os.fstat(fd).st_ino))
    for _ in range(2):
        with Folder.root(str(tmp_path / "a" / "b" / "root"), create=True):
            pass
    gained = [tmp_path, tmp_path / "a", tmp_path / "a" / "b"]
    assert sorted(synced) == sorted(path.stat().st_ino for path in gained)


def open_descriptors():
    return len(list(Path("/proc/self/fd").iterdir()))


def test_a_closed_folder_leaks_no_descriptor(tmp_path):
    """Every descriptor that was opened is closed again."""
    before = open_descriptors()
    for _ in range(20):
        with Folder.root(str(tmp_path / "root"), create=True) as root, root.folder("a", create=True):
            pass
        with pytest.raises(FileNotFoundError), Folder.root(str(tmp_path / "root"), create=False) as root:
            root.folder("b", create=False)
    assert open_descriptors() == before


class TestFileIOWithoutOpenat(IOManagerContract):
    """A FileIO keeps the whole contract on a system that has only paths."""

    @pytest.fixture
    async def manager(self, root, monkeypatch):
        opened = Folder.root
        monkeypatch.setattr(Folder, "root", partial(opened, openat=False))
        manager = FileIO(root)
        yield manager
        await manager.teardown()

    async def test_follows_no_link(self, manager, root, tmp_path):
        """Links are refused here too."""
        stored = await manager.store(target("k"), "value")
        (root / stored.location).replace(tmp_path / "elsewhere")
        (root / stored.location).symlink_to(tmp_path / "elsewhere")
        with pytest.raises(IOManagerError, match=r"symbolic link"):
            await manager.load(stored.location)
