from __future__ import annotations

import asyncio
import json
import os
import pickle
import subprocess
import sys
from itertools import combinations
from pathlib import Path

import pytest

from flowstone.errors import IOManagerError
from flowstone.io import FileIO, Target
from tests.io.contract import HOSTILE_KEYS, IOManagerContract, target


def visible(root):
    """Every file below the root that a location could name."""
    return sorted(
        path.relative_to(root).as_posix()
        for path in root.rglob("*")
        if path.is_file() and ".tmp" not in path.parts
    )


def hidden(root):
    """Every temporary file."""
    return sorted((root / ".tmp").iterdir()) if (root / ".tmp").exists() else []


class TestFileIO(IOManagerContract):
    @pytest.fixture
    def manager(self, files):
        return files


# Layout -----------------------------------------------------------------------------------------------------


async def test_a_location_is_the_path_below_the_root(files, root):
    """The file lies where its location says, in a folder of its asset and one of its partition."""
    stored = await files.store(target("2025-01-15", run_id="r1", attempt=2), {"rows": 3})
    assert visible(root) == [stored.location]
    assert stored.location.startswith("orders/2025-01-15/r1-2.")
    assert json.loads((root / stored.location).read_bytes()) == {"rows": 3}


async def test_the_record_knows_size_digest_and_codec(files, root):
    """Stored tells the bytes on disk, their SHA-256 and the codec."""
    stored = await files.store(target(), b"abc")
    assert stored.size == 3
    assert stored.digest == "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert stored.metadata == {"codec": "bytes"}


async def test_equal_values_have_equal_digests(files):
    """The digest depends on the value alone, also for sets, whose order differs between processes."""
    one = await files.store(target("a"), {"tags": {"x", "y", "zebra", "w"}})
    other = await files.store(target("b"), {"tags": {"zebra", "w", "y", "x"}})
    assert one.digest == other.digest


async def test_every_partition_key_stays_below_the_root_on_any_file_system(files, root):
    """Hostile keys leave the root nowhere, and no two files differ by case alone."""
    locations = [(await files.store(target(key), "value")).location for key in HOSTILE_KEYS]
    assert visible(root) == sorted(locations)
    assert all((root / location).resolve().is_relative_to(root.resolve()) for location in locations)
    for one, other in combinations(locations, 2):
        assert one.casefold() != other.casefold()
    assert sorted(path.name for path in root.parent.iterdir()) == [root.name]


async def test_the_root_does_not_follow_a_chdir(tmp_path, monkeypatch):
    """A relative root is relative to where the FileIO was made."""
    monkeypatch.chdir(tmp_path)
    files = FileIO("warehouse")
    monkeypatch.chdir("/")
    stored = await files.store(target(), 1)
    assert (tmp_path / "warehouse" / stored.location).is_file()
    assert files.root == tmp_path / "warehouse"
    await files.teardown()


async def test_the_root_may_be_in_the_home_folder(tmp_path, monkeypatch):
    """`~` is the home folder."""
    monkeypatch.setenv("HOME", str(tmp_path))
    assert FileIO("~/warehouse").root == tmp_path / "warehouse"


async def test_the_root_may_be_a_link(tmp_path, root):
    """The root itself is the user's word and may be a symbolic link."""
    (tmp_path / "real").mkdir()
    root.symlink_to(tmp_path / "real")
    files = FileIO(root)
    stored = await files.store(target(), 1)
    assert await files.load(stored.location) == 1
    await files.teardown()


def test_repr_names_root_and_codec(tmp_path):
    """The repr says where the files are and how they are written."""
    assert repr(FileIO(tmp_path, codec="json")) == f"FileIO({str(tmp_path)!r}, codec='json')"


# Another process --------------------------------------------------------------------------------------------


LOAD = """
import asyncio, sys
from flowstone.io import FileIO
print(asyncio.run(FileIO(sys.argv[1]).load(sys.argv[2])))
"""


async def test_another_process_loads_what_this_one_stored(files, root):
    """Root and location are all that another process needs."""
    stored = await files.store(target("d:2025-01-15"), {"total": (1, 2)})
    command = [sys.executable, "-W", "error", "-c", LOAD, str(root), stored.location]
    done = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, check=True)
    assert done.stdout == "{'total': (1, 2)}\n"


async def test_two_managers_on_one_root_see_the_same_files(files, root):
    """What one FileIO stores another on the same root loads, and refuses to store again."""
    other = FileIO(root)
    stored = await files.store(target(), "value")
    assert await other.load(stored.location) == "value"
    with pytest.raises(IOManagerError, match=r"never replaced"):
        await other.store(target(), "value")
    await other.teardown()


async def test_racing_stores_of_one_attempt_leave_one_file(files, root):
    """Of ten concurrent stores of the same value for one attempt one wins, and its file is whole."""
    outcomes = await asyncio.gather(
        *(files.store(target(), "x" * 10_000) for _ in range(10)), return_exceptions=True
    )
    [stored] = [outcome for outcome in outcomes if not isinstance(outcome, IOManagerError)]
    assert await files.load(stored.location) == "x" * 10_000
    assert (len(visible(root)), hidden(root)) == (1, [])


# Untrusted locations ----------------------------------------------------------------------------------------

DIGEST = "0" * 32


@pytest.mark.parametrize(
    "location",
    [
        f"../{DIGEST}/r-1.{DIGEST}.txt",
        f"a/../r-1.{DIGEST}.txt",
        f"/a/b/r-1.{DIGEST}.txt",
        f"//a/r-1.{DIGEST}.txt",
        f"a/b/../r-1.{DIGEST}.txt",
        f"a/b/c/r-1.{DIGEST}.txt",
        f"a//r-1.{DIGEST}.txt",
        f"a/b\\..\\r-1.{DIGEST}.txt",
        f"C:/b/r-1.{DIGEST}.txt",
        f".tmp/b/r-1.{DIGEST}.txt",
        f"a/b/r-1.{DIGEST}.txt\x00",
        f"a/b/r-1.{DIGEST}.txt\n",
        f"a/b/r-1.{DIGEST[:-1]}.txt",
        f"a/b/r-1.{DIGEST}",
        "a/b/r-1.txt",
        "~/.ssh/id_rsa",
    ],
)
async def test_a_location_that_no_fileio_made_is_refused(files, location):
    """Absolute, upward, hidden and malformed locations are refused before any file is touched."""
    for refused in (files.load, files.delete):
        with pytest.raises(IOManagerError, match=r"is not a location of a FileIO; use the IO manager that"):
            await refused(location)
    assert not await files.exists(location)


@pytest.fixture
async def outside(tmp_path, files, root):
    """A folder beside the root with the copy of a stored file, and that file's location."""
    stored = await files.store(target("k"), "secret")
    folder = tmp_path / "outside"
    folder.mkdir()
    (root / stored.location).rename(folder / Path(stored.location).name)
    return folder, stored.location


async def test_a_linked_file_is_not_followed(files, root, outside):
    """A symbolic link planted in place of a file leads nowhere, though what it points to would match."""
    folder, location = outside
    (root / location).symlink_to(folder / Path(location).name)
    with pytest.raises(IOManagerError, match=r"symbolic link"):
        await files.load(location)
    assert not await files.exists(location)
    await files.delete(location)
    assert (folder / Path(location).name).exists()


async def test_a_linked_folder_is_not_followed(files, root, outside):
    """A symbolic link planted in place of a folder is followed neither to load, to delete nor to store."""
    folder, location = outside
    (root / "orders" / "k").rmdir()
    (root / "orders" / "k").symlink_to(folder)
    for attempt in (files.load(location), files.delete(location), files.store(target("k"), "other")):
        with pytest.raises(IOManagerError, match=r"link"):
            await attempt
    assert not await files.exists(location)
    assert [path.name for path in folder.iterdir()] == [Path(location).name]
    assert hidden(root) == []


async def test_a_planted_fifo_does_not_block(files, root):
    """A FIFO in place of a file is an error at once, not a reader that waits for ever."""
    stored = await files.store(target(), "value")
    (root / stored.location).unlink()
    os.mkfifo(root / stored.location)
    with pytest.raises(IOManagerError, match=r"is not in"):
        await files.load(stored.location)
    assert not await files.exists(stored.location)


# Damage -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("damage", [b"", b"[1, 2", b"[1, 2, 4]", b"[1,2,3] "])
async def test_a_damaged_file_is_an_error_not_a_value(files, root, damage):
    """An empty, truncated, changed or grown file is recognised by its digest."""
    stored = await files.store(target(), [1, 2, 3])
    (root / stored.location).write_bytes(damage)
    with pytest.raises(IOManagerError, match=r"damaged.*Restore it from a backup, or materialize"):
        await files.load(stored.location)


async def test_a_file_under_another_name_is_damaged(files, root):
    """A file put in place of another one, good as it is, does not pass for it."""
    one = await files.store(target("a"), "one")
    other = await files.store(target("b"), "other")
    (root / one.location).replace(root / other.location)
    with pytest.raises(IOManagerError, match=r"damaged"):
        await files.load(other.location)


# Codecs -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "codec", "suffix"),
    [
        (b"x", "bytes", "bin"),
        ("x", "text", "txt"),
        ([1], "json", "json"),
        (None, "json", "json"),
        ({1}, "json", "json"),
    ],
)
async def test_auto_picks_by_the_value(files, value, codec, suffix):
    """`auto` writes bytes as they are, text as text, other built-in types as JSON."""
    stored = await files.store(target(), value)
    assert stored.metadata["codec"] == codec
    assert stored.location.endswith(f".{suffix}")
    assert await files.load(stored.location) == value


@pytest.mark.parametrize(
    ("codec", "good", "bad"),
    [
        ("bytes", b"x", "x"),
        ("text", "x", b"x"),
        ("json", "x", object()),
        ("parquet", None, [1]),
        ("pydantic", None, {}),
    ],
)
async def test_a_named_codec_takes_only_its_own(root, codec, good, bad):
    """With a codec named, other values are refused before anything is written."""
    files = FileIO(root, codec=codec)
    with pytest.raises(
        IOManagerError, match=rf"^Cannot store asset 'orders': it is of type .* {codec!r}.*; .*\.$"
    ):
        await files.store(target(), bad)
    assert not root.exists()
    if good is not None:
        stored = await files.store(target(), good)
        assert (stored.metadata["codec"], await files.load(stored.location)) == (codec, good)
    await files.teardown()


def test_an_unknown_codec_is_refused_at_once(tmp_path):
    """A mistyped codec is an error where the FileIO is made, and lists the known ones."""
    with pytest.raises(
        ValueError, match=r"no codec 'jason'.*auto, bytes, dataclass, json, parquet, pickle, pydantic"
    ):
        FileIO(tmp_path, codec="jason")


@pytest.mark.parametrize("value", [object(), lambda: 0, slice(1), OSError("x"), {"a": [{"b": object()}]}])
async def test_a_value_no_codec_takes_is_refused_before_anything_is_written(files, root, value):
    """The error names the asset, the type and a remedy, and the root is untouched."""
    with pytest.raises(
        IOManagerError, match=r"^Cannot store asset 'orders\[k\]': .* of type \w+.*return .*pickle.*\.$"
    ):
        await files.store(target("k"), value)
    assert not root.exists()


async def test_the_refusal_says_where_in_the_value(files):
    """A single bad item in a large value is named by its place."""
    with pytest.raises(IOManagerError, match=r"of type object.*, at value\['a'\]\[1\]\['b'\];"):
        await files.store(target(), {"a": [1, {"b": object()}]})


class Bomb:
    """Unpickling one would create a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


async def test_pickle_is_loaded_only_by_who_asked_for_it(root, tmp_path):
    """A pickle is refused, unopened, by every FileIO that was not built for pickles."""
    trusting, careful = FileIO(root, codec="pickle"), FileIO(root)
    bomb = await trusting.store(target(), Bomb(tmp_path / "exploded"))
    assert bomb.metadata == {"codec": "pickle"}
    with pytest.raises(
        IOManagerError, match=r'pickle can run any code; .*give the IO manager codec="pickle"'
    ):
        await careful.load(bomb.location)
    assert not (tmp_path / "exploded").exists()
    await trusting.load(bomb.location)
    assert (tmp_path / "exploded").exists()
    await asyncio.gather(trusting.teardown(), careful.teardown())


async def test_a_pickle_under_another_suffix_is_never_unpickled(files, root, tmp_path):
    """A pickle planted as JSON, text or bytes with the right digest is data, not code."""
    data = pickle.dumps(Bomb(tmp_path / "exploded"))
    stored = await files.store(target(), data)
    for suffix in ("json", "txt", "polars.parquet", "pyarrow.parquet", "pandas.parquet"):
        location = stored.location.removesuffix("bin") + suffix
        (root / location).write_bytes(data)
        with pytest.raises(IOManagerError, match=r"could not be decoded"):
            await files.load(location)
    assert not (tmp_path / "exploded").exists()


async def test_pickle_takes_what_the_others_refuse(root):
    """codec="pickle" stores any picklable value, and still loads what safe codecs wrote."""
    plain, trusting = FileIO(root), FileIO(root, codec="pickle")
    stored = await trusting.store(target(), {1j: range(3)})
    assert await trusting.load(stored.location) == {1j: range(3)}
    assert await trusting.load((await plain.store(target("b"), [1])).location) == [1]
    with pytest.raises(IOManagerError, match=r"could not be encoded"):
        await trusting.store(target("c"), lambda: 0)
    await asyncio.gather(plain.teardown(), trusting.teardown())


class ComplexCodec:
    """A codec of a user's own: complex numbers as text."""

    name = "complex"
    suffix = "complex.txt"

    def can_encode(self, value):
        return type(value) is complex

    def encode(self, value):
        return repr(value).encode()

    def decode(self, data):
        return complex(data.decode())


async def test_a_codec_of_your_own_is_asked_first(root):
    """A user's codec stores and loads its type; without it the file is refused with a remedy."""
    files, plain = FileIO(root, codecs=[ComplexCodec()]), FileIO(root)
    stored = await files.store(target(), 1 + 2j)
    assert (stored.metadata["codec"], await files.load(stored.location)) == ("complex", 1 + 2j)
    with pytest.raises(IOManagerError, match=r"no codec here reads 'complex.txt' files; pass the codec"):
        await plain.load(stored.location)
    await asyncio.gather(files.teardown(), plain.teardown())


@pytest.mark.parametrize("suffix", ["json", "bin", "../x", "", "X", "a/b", "pickle\n", "x" * 41])
def test_a_codec_with_a_bad_suffix_is_refused_at_once(tmp_path, suffix):
    """A suffix that is taken, or could not be read back from a name, is an error where the FileIO is made."""
    codec = ComplexCodec()
    codec.suffix = suffix
    with pytest.raises(ValueError, match=r"suffix"):
        FileIO(tmp_path, codecs=[codec])


class Raising(ComplexCodec):
    """A codec that fails in the way given."""

    def __init__(self, error):
        self.error = error

    def encode(self, value):
        raise self.error

    def decode(self, data):
        raise self.error


class Unprintable(Exception):
    def __str__(self):
        raise SystemExit


@pytest.mark.parametrize(
    "error",
    [
        ValueError("x"),
        StopIteration(),
        SystemExit(),
        KeyboardInterrupt(),
        GeneratorExit(),
        Unprintable(),
        MemoryError(),
    ],
    ids=lambda error: type(error).__name__,
)
async def test_whatever_a_codec_raises_is_one_clear_error(root, error):
    """Any BaseException of a codec, even one that cannot be printed, becomes an IOManagerError."""
    good, bad = FileIO(root, codecs=[ComplexCodec()]), FileIO(root, codecs=[Raising(error)])
    with pytest.raises(IOManagerError, match=rf"complex could not be encoded \({type(error).__name__}"):
        await bad.store(target(), 1j)
    stored = await good.store(target(), 1j)
    with pytest.raises(IOManagerError, match=rf"could not be decoded \({type(error).__name__}"):
        await bad.load(stored.location)
    await asyncio.gather(good.teardown(), bad.teardown())


# Lifecycle --------------------------------------------------------------------------------------------------


async def test_healthy_if_the_root_can_be_opened(tmp_path):
    """`health` raises exactly if the root cannot be created or opened."""
    (tmp_path / "file").write_text("in the way")
    good, bad = FileIO(tmp_path / "root"), FileIO(tmp_path / "file" / "root")
    await good.health()
    with pytest.raises(IOManagerError, match=r"a file or a link is where a folder must be"):
        await bad.health()
    await asyncio.gather(good.teardown(), bad.teardown())


async def test_may_be_used_again_after_teardown(files):
    """A manager outlives the runtime it was given to and serves the next one."""
    await files.teardown()
    stored = await files.store(Target("a", None, "r", 1), 1)
    await files.teardown()
    assert await files.load(stored.location) == 1


def test_serves_one_loop_after_another(root):
    """One FileIO may be used from several event loops, one after the other."""
    files = FileIO(root)
    stored = asyncio.run(files.store(target(), 1))
    assert asyncio.run(files.load(stored.location)) == 1
    asyncio.run(files.teardown())
