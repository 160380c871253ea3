"""Store URLs: what each means, and what is said of one that means nothing here."""

from __future__ import annotations

from pathlib import Path

import pytest

from flowstone.errors import StoreUnavailable
from flowstone.store import FileStore, MemoryStore, open_store


def test_memory_is_a_store_of_its_own():
    """Each `memory://` is another memory."""
    one, other = open_store("memory://"), open_store("MEMORY://")
    assert isinstance(one, MemoryStore)
    assert one is not other


@pytest.mark.parametrize(
    ("url", "directory"),
    [
        ("file://runs", "runs"),
        ("file://./a/../b", "a/../b"),
        ("file://.flowstone", ".flowstone"),
        ("file:///srv/runs", "/srv/runs"),
        ("file:///srv/my%20runs%3F", "/srv/my runs?"),
        ("file://a~b/~", "a~b/~"),
        ("file://%7E/runs", "~/runs"),
        ("FILE://ü", "ü"),
    ],
)
def test_file_urls_name_directories(url, directory):
    """A relative path is relative to the working directory, an absolute one has three slashes."""
    store = open_store(url)
    assert isinstance(store, FileStore)
    assert repr(store) == f"FileStore({str(Path(directory))!r})"


def test_home_is_the_users(monkeypatch, tmp_path):
    """`~/` at the start is the home directory, as it is in a shell."""
    monkeypatch.setenv("HOME", str(tmp_path))
    assert repr(open_store("file://~/runs")) == f"FileStore({str(tmp_path / 'runs')!r})"


async def test_opening_makes_nothing_yet(tmp_path, monkeypatch):
    """The directory is made by `open`, in the working directory of that moment."""
    monkeypatch.chdir(tmp_path)
    store = open_store("file://my%20runs")
    assert list(tmp_path.iterdir()) == []
    await store.open()
    await store.close()
    assert [path.name for path in tmp_path.iterdir()] == ["my runs"]


def test_a_store_is_itself():
    """A store object is returned as it is."""
    store = MemoryStore()
    assert open_store(store) is store


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("redis://h/0", r"begin with redis://; available: file://DIR, memory://, "),
        (
            "./runs",
            r"and './runs' does not: the directory of that name is file://./runs; available: file://DIR,",
        ),
        ("/srv/my runs", r"and '/srv/my runs' does not: the directory of that name is file:///srv/my runs; "),
        ("runs", r"begins with its kind, and this one does not; available: file://DIR, "),
        ("me:secret@host/db", r"begins with its kind, and this one does not; available: file://DIR, "),
        ("host=h password=secret", r"begins with its kind, and this one does not; available: "),
        ("./runs\x1b[2J", r"begins with its kind, and this one does not; available: "),
        ("file:runs", r"has two slashes behind 'file' and the colon: file://DIR$"),
        ("postgresql:/secret@h/db", r"behind 'postgresql' and the colon: postgresql://USER@HOST/DATABASE$"),
        ("", "begins with its kind, and this one is empty"),
        ("://x", "begins with its kind, and this one does not"),
        ("file://", "names no directory; write 'file://DIR'"),
        ("file://a?b=c", "%3F and %23"),
        ("file://a#b", "%3F and %23"),
        ("file://a\0b", "%3F and %23"),
        ("memory://x", "takes nothing behind it"),
    ],
)
def test_what_means_nothing_is_explained(url, says):
    """A URL without a store says in one sentence what is available or wrong."""
    with pytest.raises(StoreUnavailable, match=says):
        open_store(url)


@pytest.mark.parametrize(
    "url",
    ["redis://me:s3cret@host/0", "me:s3cret@host", "me:s3cret@host://x", "s3cret", "host=h password=s3cret"],
)
def test_secrets_are_not_repeated(url):
    """Nothing of a URL but a plain scheme is repeated: the rest may hold a password."""
    with pytest.raises(StoreUnavailable) as caught:
        open_store(url)
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize("store", [None, 7, Path("runs"), b"memory://"])
def test_other_objects_are_refused(store):
    """What is neither a URL nor a store is a mistake of type."""
    with pytest.raises(TypeError, match="URL such as 'file://DIR' or a store object"):
        open_store(store)
