"""Who may read values in files: their owner alone, unless somebody says otherwise."""

from __future__ import annotations

import os
import stat

import pytest

from flowstone import FileIO
from flowstone.io import Target

pytestmark = pytest.mark.skipif(os.name == "nt", reason="permissions are POSIX")


@pytest.fixture(autouse=True)
def umask():
    """A process that hides nothing by itself."""
    before = os.umask(0)
    yield
    os.umask(before)


def modes(folder) -> tuple[set[int], set[int]]:
    """Permissions of all folders and of all files."""
    found = [folder, *folder.rglob("*")]
    return tuple(
        {stat.S_IMODE(path.stat().st_mode) for path in found if path.is_dir() is is_folder}
        for is_folder in (True, False)
    )


def target(key: str | None = None) -> Target:
    """What a value is of."""
    return Target("report", key, "run-1", 1)


async def test_values_are_their_owners_alone(tmp_path):
    """Whatever the umask, other users can neither read a value nor list what there is."""
    io = FileIO(tmp_path / "deep" / "values")
    await io.store(target(), {"secret": 1})
    await io.store(target("x" * 400), b"in parts")
    assert modes(tmp_path / "deep") == ({0o700}, {0o600})
    await io.teardown()


@pytest.mark.parametrize(("mode", "folder"), [(0o640, 0o750), (0o644, 0o755), (0o660, 0o770)])
async def test_others_may_be_let_in(tmp_path, mode, folder):
    """A mode that lets others read the files lets them enter the folders."""
    io = FileIO(tmp_path / "values", mode=mode)
    stored = await io.store(target(), "shared")
    assert modes(tmp_path / "values") == ({folder}, {mode})
    assert await io.load(stored.location) == "shared"
    await io.teardown()


async def test_a_folder_that_is_there_is_left_as_it_is(tmp_path):
    """Who made the root themselves has said who may enter it."""
    root = tmp_path / "values"
    root.mkdir(mode=0o755)
    io = FileIO(root)
    await io.store(target(), 1)
    assert stat.S_IMODE(root.stat().st_mode) == 0o755
    await io.teardown()


@pytest.mark.parametrize("mode", [0o400, 0o755, 640, 0o1600])
def test_a_mode_that_is_none_is_refused(tmp_path, mode):
    """Decimal for octal, programs for files, and files that their owner cannot read are mistakes."""
    with pytest.raises(ValueError, match="in octal, such as 0o600"):
        FileIO(tmp_path, mode=mode)
