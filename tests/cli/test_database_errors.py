"""What the user reads when a database cannot be used: one sentence, a remedy, no traceback and no password."""

from __future__ import annotations

import shutil
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import asyncpg
import pytest

from flowstone.cli.loop import run_async
from flowstone.store.embedded import EmbeddedServer
from tests.postgres import FAST, place_for_servers

HBA = """
local all postgres trust
local all trusted trust
local all unwanted reject
local all all scram-sha-256
"""

SETUP = (
    "select pg_reload_conf()",
    "create role ada login password 'secret'",
    "create role bob login password 'secret' connection limit 0",
    "create database mine owner ada",
    "create database full_disk owner ada",
    "create database somebodys",
)

FILL_THE_DISK = (
    """create function fill() returns event_trigger language plpgsql as $$ begin
        raise 'could not extend file: No space left on device' using errcode = '53100';
    end $$""",
    "create event trigger fill on ddl_command_start execute function fill()",
)


@dataclass(frozen=True)
class Guarded:
    """A server that asks for passwords; `url` is that of its maintenance database, for its administrator."""

    url: str

    def of(self, user: str, database: str, password: str = "secret") -> str:
        secret = f":{password}" if password else ""
        return self.url.replace("postgres@/postgres?", f"{user}{secret}@/{database}?")

    def run(self, *statements: str, database: str = "postgres") -> None:
        async def work() -> None:
            connection = await asyncpg.connect(self.of("postgres", database, ""))
            try:
                for statement in statements:
                    await connection.execute(statement)
            finally:
                await connection.close()

        run_async(work())


@pytest.fixture(scope="module")
def guarded() -> Iterator[Guarded]:
    """A server of its own: the session's asks nobody for a password."""
    place = place_for_servers()
    server = EmbeddedServer(place / "pg", options=FAST)
    try:
        made = Guarded(server.start())
        (place / "pg" / "data" / "pg_hba.conf").write_text(HBA)
        made.run(*SETUP)
        made.run(*FILL_THE_DISK, database="full_disk")
        yield made
    finally:
        server.stop()
        shutil.rmtree(place)


@pytest.fixture
def refusal(shop, cli):
    """Run a command and return its exit status and what it said, which is one line."""

    def run(store: str, *command: str) -> tuple[int, str]:
        done = cli(*(command or ("materialize", "shop.py", "orders")), "--store", store)
        assert done.stdout == ""
        assert len(done.stderr.splitlines()) == 1, done.stderr
        assert "secret" not in done.stderr
        return done.status, done.stderr

    return run


COMMANDS = [("runs",), ("materialize", "shop.py", "orders"), ("migrate",)]


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize(
    ("user", "database", "password", "words"),
    [
        ("ada", "mine", "wrong", "refuses the user 'ada' or the password; correct them"),
        ("ada", "mine", "", "refuses the user 'ada' or the password; correct them"),
        ("eve", "mine", "secret", "refuses the user 'eve' or the password; correct them"),
        (
            "trusted",
            "mine",
            "secret",
            "refuses the user 'trusted' (role \"trusted\" does not exist); correct",
        ),
        ("unwanted", "mine", "secret", "pg_hba.conf rejects"),
        ("bob", "mine", "secret", 'no free connection (too many connections for role "bob"); raise'),
        ("ada", "none", "secret", "there is no such database; create it (createdb none)"),
    ],
)
def test_a_database_that_lets_nobody_in(guarded, refusal, command, user, database, password, words):
    """A wrong password, user or database is named, with what to do; something failed, so the status is 1."""
    status, said = refusal(guarded.of(user, database, password), *command)
    assert status == 1
    assert words in said


def test_an_option_that_postgres_does_not_know(guarded, refusal):
    """A misspelt option of the URL is named."""
    status, said = refusal(guarded.of("ada", "mine") + "&aplication_name=x")
    assert (status, 'unrecognized configuration parameter "aplication_name"; correct it' in said) == (1, True)


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://ada:secret@host:port/mine",
        "postgresql://ada:sec/ret@host/mine",
        "postgresql://h:99999999/d",
    ],
)
def test_a_url_that_cannot_be_read(refusal, url):
    """A URL that is none is wrong usage, and shows how one is written."""
    status, said = refusal(url)
    assert (status, "write postgresql://USER:PASSWORD@HOST:PORT/DATABASE" in said) == (2, True)


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize(
    ("place", "words"),
    [
        ("ada:secret@no-such-host.invalid/mine", "the host 'no-such-host.invalid' is unknown; correct it"),
        (
            "ada:secret@127.0.0.1:1/mine",
            "nobody answers at postgresql://ada@127.0.0.1:1/mine; start Postgres",
        ),
        ("ada:secret@/mine?host=/no/such/place", "nobody answers at postgresql://ada@/no/such/place/mine"),
    ],
)
def test_a_place_where_nobody_is(refusal, command, place, words):
    """An unknown host, a closed port and a missing socket each have their sentence."""
    status, said = refusal(f"postgresql://{place}", *command)
    assert (status, words in said) == (1, True)


@pytest.mark.parametrize("command", COMMANDS)
def test_a_host_that_says_nothing(refusal, monkeypatch, command):
    """A host that takes the call and is silent is given up after the connect timeout."""
    monkeypatch.setenv("FLOWSTONE_CONNECT_TIMEOUT", "0.2")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        status, said = refusal(f"postgresql://ada:secret@127.0.0.1:{silent.getsockname()[1]}/mine", *command)
    assert status == 1
    assert "did not open within 0.2 s" in said


def test_a_database_that_may_not_be_changed(guarded, refusal):
    """Without the right to make a schema, or to use somebody else's, the sentence says whose right is missing."""
    mine = guarded.of("ada", "somebodys")
    assert "'ada' may not use the schema flowstone (permission denied for database" in refusal(mine)[1]
    guarded.run("create schema flowstone", "create table flowstone.migrations ()", database="somebodys")
    for command in COMMANDS:
        status, said = refusal(mine, *command)
        assert status == 1
        assert "(permission denied for schema flowstone); act as its owner, or have it run: GRANT" in said
    guarded.run("drop schema flowstone cascade", database="somebodys")


def test_a_full_disk(guarded, refusal):
    """A disk that is full while the schema is made is said to be full, not something unexpected."""
    for command in COMMANDS[1:]:
        status, said = refusal(guarded.of("ada", "full_disk"), *command)
        assert (status, "the disk of" in said, "free some space" in said) == (1, True, True)


def test_a_read_only_database(shop, cli, guarded, refusal):
    """What takes no writes can be looked at; a command that would write says so at once and does not wait."""
    guarded.run("create database standby owner ada")
    store = guarded.of("ada", "standby")
    assert cli("materialize", "shop.py", "orders", "--store", store).status == 0
    guarded.run("alter database standby set default_transaction_read_only = on")
    status, said = refusal(store)
    assert (status, "is read-only, a standby perhaps; name the primary" in said) == (1, True)
    assert "materialize orders" in cli("runs", "--store", store).stdout


def test_versions_of_the_schema(shop, cli, guarded, refusal, monkeypatch):
    """A newer schema asks for an upgrade; an older or a missing one names the command, unless it is migrated."""
    guarded.run("create database versions owner ada")
    store = guarded.of("ada", "versions")
    monkeypatch.setenv("FLOWSTONE_AUTO_MIGRATE", "false")
    status, said = refusal(store)
    assert (status, "has no schema flowstone" in said, "`flowstone migrate --store URL`" in said) == (
        1,
        True,
        True,
    )
    applied = cli("migrate", "--store", store)
    assert "applied 0001_" in applied.stdout
    assert cli("migrate", "--store", store, "--json").document["applied"] == []
    assert cli("materialize", "shop.py", "orders", "--store", store).status == 0
    guarded.run("delete from flowstone.migrations where number > 1", database="versions")
    for command in COMMANDS[:2]:
        status, said = refusal(store, *command)
        assert (status, "has version 1" in said, "flowstone migrate" in said) == (1, True, True)
    guarded.run("insert into flowstone.migrations (number, name) values (99, 'x')", database="versions")
    for command in COMMANDS:
        status, said = refusal(store, *command)
        assert (status, "made by a newer FlowStone" in said, "upgrade it" in said) == (1, True, True)


@pytest.mark.parametrize("store", ["memory://", "file://x"])
def test_nothing_to_migrate(shop, cli, store):
    """What is no database has no schema."""
    done = cli("migrate", "--store", store)
    assert (done.status, done.stdout) == (0, f"{store} has nothing to migrate: only databases do.\n")
    assert not Path("x").exists()


def test_migrating_an_embedded_store(shop, cli):
    """The embedded database is made and brought up to date, and its server stopped again."""
    place = place_for_servers()
    try:
        done = cli("migrate", "--store", f"embedded://{place}/pg")
        assert (done.status, "migrations applied" in done.stdout) == (0, True)
        assert cli("migrate", "--store", f"embedded://{place}/pg").stdout.endswith("is up to date.\n")
        assert not (place / "pg" / "data" / "postmaster.pid").exists()
    finally:
        shutil.rmtree(place)
