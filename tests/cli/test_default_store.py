"""Where runs are kept if nobody says where."""

from __future__ import annotations

import shutil

import pytest

from flowstone.cli import default_store as module
from flowstone.cli.default_store import DefaultStore, default_store, file_instead, kept_in_a_file
from flowstone.errors import StoreUnavailable
from tests.postgres import end_lingering, place_for_servers


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A place where nothing ran yet, made the current one; embedded Postgres could run in it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("FLOWSTONE_STORE", raising=False)
    monkeypatch.delenv("FLOWSTONE_HOME", raising=False)
    monkeypatch.setattr(module, "_obstacle", lambda _folder: None)
    return tmp_path


def leave_journal(folder):
    (folder / ".flowstone").mkdir()
    (folder / ".flowstone" / "journal.jsonl").touch()


def test_embedded_where_it_can_run(folder):
    """With the extra installed a new place gets a database; asking makes nothing."""
    assert default_store() == "embedded://.flowstone/pg"
    assert kept_in_a_file() is None
    assert list(folder.iterdir()) == []


def test_a_file_without_the_extra(folder, monkeypatch):
    """Without the extra runs are kept in a file, and there is nothing to remark."""
    monkeypatch.delenv("PG_BINDIR", raising=False)
    monkeypatch.setattr(module, "_WHEEL", "no_such_package")
    assert default_store() == "file://.flowstone"
    assert kept_in_a_file() is None


def test_postgres_that_somebody_named(folder, monkeypatch):
    """PG_BINDIR asks for embedded Postgres as the extra does."""
    monkeypatch.setattr(module, "_WHEEL", "no_such_package")
    monkeypatch.setenv("PG_BINDIR", "/somewhere")
    assert default_store() == "embedded://.flowstone/pg"


def test_an_old_journal_stays_in_use(folder):
    """History in a file is not left behind, and the remark says how to begin a new one."""
    leave_journal(folder)
    assert default_store() == "file://.flowstone"
    assert "--store embedded://.flowstone/pg" in kept_in_a_file()


def test_a_database_wins(folder, monkeypatch):
    """Where there is a database it is used, whatever else lies there or speaks against it."""
    leave_journal(folder)
    (folder / ".flowstone" / "pg" / "data").mkdir(parents=True)
    monkeypatch.setattr(module, "_obstacle", lambda _folder: "it rains")
    assert default_store() == "embedded://.flowstone/pg"
    assert kept_in_a_file() is None


def test_an_obstacle(folder, monkeypatch):
    """Where embedded Postgres cannot run a file is used, and the remark says why."""
    monkeypatch.setattr(module, "_obstacle", lambda _folder: "it rains")
    assert default_store() == "file://.flowstone"
    assert kept_in_a_file().endswith("because embedded Postgres cannot run here: it rains.")


@pytest.mark.parametrize(
    ("home", "store"), [("", ".flowstone/pg"), ("/var/lib/my runs", "/var/lib/my%20runs/pg")]
)
def test_the_default_store_follows_the_home(folder, monkeypatch, home, store):
    """FLOWSTONE_HOME, if it says anything, is the folder."""
    monkeypatch.setenv("FLOWSTONE_HOME", home)
    assert default_store() == f"embedded://{store}"


def test_a_store_nobody_chose_has_an_alternative(folder):
    """If the default does not open, the error says what else there is; a store that was named is the user's."""
    error = StoreUnavailable("no room")
    assert str(file_instead(DefaultStore("embedded://x"), error)) == (
        "no room; or keep runs in a file: --store file://.flowstone"
    )
    assert str(file_instead("embedded://x", error)) == "no room"
    assert str(file_instead(DefaultStore("file://x"), error)) == "no room"


def test_the_remark_is_made_once(shop, cli, monkeypatch):
    """The first command that computes says why runs stay in the file; others say nothing."""
    monkeypatch.delenv("FLOWSTONE_STORE")
    monkeypatch.setattr(module, "_obstacle", lambda _folder: None)
    leave_journal(shop)
    assert cli("runs").stderr.startswith("No runs")
    assert "there is history in it" in cli("materialize", "shop.py", "orders").stderr
    assert "history" not in cli("materialize", "shop.py", "orders").stderr


def test_a_store_that_was_named_is_not_remarked_on(shop, cli, monkeypatch):
    """Whoever names the file, on the command line or in the environment, wants it."""
    monkeypatch.setattr(module, "_obstacle", lambda _folder: None)
    leave_journal(shop)
    assert "history" not in cli("materialize", "shop.py", "orders").stderr
    monkeypatch.delenv("FLOWSTONE_STORE")
    assert "history" not in cli("materialize", "shop.py", "orders", "--store", "file://.flowstone").stderr


def test_a_worker_without_a_database_is_told_why(shop, cli, monkeypatch):
    """Where nobody chose the file, the refusal says why it is one."""
    monkeypatch.delenv("FLOWSTONE_STORE")
    monkeypatch.setattr(module, "_obstacle", lambda _folder: "it rains")
    done = cli("worker", "shop.py")
    assert done.status == 2
    assert "not shared by processes" in done.stderr
    assert "because embedded Postgres cannot run here: it rains." in done.stderr


def test_the_first_command_of_a_fresh_machine(shop, program):
    """Where it can run embedded Postgres is there without a word, and the next command finds what was computed."""
    place = place_for_servers()
    try:
        (place / "shop.py").write_text((shop / "shop.py").read_text())
        env = {"FLOWSTONE_STORE": "", "FLOWSTONE_HOME": ""}
        made = program("materialize", "shop.py", "orders", env=env, cwd=place)
        assert (made.status, "kept in" in made.stderr) == (0, False)
        assert (place / ".flowstone" / "pg" / "data").is_dir()
        (run,) = program("runs", "--json", env=env, cwd=place).document["runs"]
        assert run["status"] == "succeeded"
    finally:
        end_lingering(place / ".flowstone" / "pg")
        shutil.rmtree(place)
