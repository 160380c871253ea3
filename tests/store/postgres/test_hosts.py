"""A URL may name several hosts, in every way in which libpq lets people write them."""

from __future__ import annotations

from urllib.parse import parse_qs, quote, urlsplit

import asyncpg
import pytest

from flowstone import Pipeline, Runtime
from flowstone.errors import StoreUnavailable
from flowstone.store import open_store
from flowstone.store.postgres import PostgresStore
from flowstone.store.postgres.address import Address

SECRET = "hunter2"


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://h1:5432,h2:5433/db", "postgresql://h1:5432,h2:5433/db"),
        (f"postgresql://ada:{SECRET}@h1,h2:5433/db", "postgresql://ada@h1,h2:5433/db"),
        (
            f"postgresql://ada:{SECRET}@[::1]:5432,[fe80::1%25eth0]/db",
            "postgresql://ada@[::1]:5432,[fe80::1%eth0]/db",
        ),
        ("postgresql://[2001:db8::1]/db", "postgresql://[2001:db8::1]/db"),
        ("postgresql://%2Fvar%2FRun/db", "postgresql:///var/Run/db"),
        ("postgresql:///db?host=h1,h2&port=5432,5433", "postgresql://h1:5432,h2:5433/db"),
        ("postgresql:///db?host=h1,h2&port=6432", "postgresql://h1:6432,h2:6432/db"),
        ("postgresql:///db?host=/run/pg&port=6432", "postgresql:///run/pg/db"),
        (f"postgresql:///?host=h&user=ada&dbname=shop&password={SECRET}", "postgresql://ada@h/shop"),
        ("postgresql://Db.Example:5432/Shop?sslmode=require", "postgresql://Db.Example:5432/Shop"),
    ],
)
def test_hosts_are_shown_as_they_are_meant(url, shown):
    """Several of them, addresses in brackets, folders of sockets, and what stands in the options."""
    address = Address.of(url)
    assert str(address) == shown
    assert SECRET not in repr(address)
    assert str(open_store(url).address) == shown


@pytest.mark.parametrize(
    "url",
    [
        f"postgresql://h1:5432,h2:{SECRET}/db",
        f"postgresql://h1,,{SECRET}/db",
        f"postgresql://h1,[::1/{SECRET}",
        f"postgresql:///db?host=h1,h2&port=1,2,3&password={SECRET}",
    ],
)
def test_what_names_no_hosts_is_refused_without_repeating_it(url):
    """The message says how several are written."""
    with pytest.raises(StoreUnavailable, match="several HOST:PORT divided by commas") as caught:
        open_store(url)
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "environment", "target"),
    [
        ("postgresql://h/db", "", "any"),
        ("postgresql://h1,h2/db", "", "read-write"),
        ("postgresql:///db?host=h1,h2", "", "read-write"),
        ("postgresql://h1,h2/db", "primary", "primary"),
        ("postgresql://h1,h2/db?target_session_attrs=any", "primary", "any"),
        ("postgresql://h/db?target_session_attrs=read-write", "", "read-write"),
    ],
)
def test_of_several_hosts_the_one_that_can_be_written_to_is_meant(url, environment, target, monkeypatch):
    """Unless the URL, or else PGTARGETSESSIONATTRS, says which."""
    monkeypatch.setenv("PGTARGETSESSIONATTRS", environment)
    assert Address.of(url).target == target


@pytest.mark.parametrize("target", ["standby", "read-only", "prefer-standby", "nonsense"])
def test_a_standby_is_no_store(target, monkeypatch):
    """Whoever asks for one is told so, at once and wherever it was asked for."""
    with pytest.raises(StoreUnavailable, match="target_session_attrs is read-write, primary or any"):
        open_store(f"postgresql://ada:{SECRET}@h1,h2/db?target_session_attrs={target}")
    monkeypatch.setenv("PGTARGETSESSIONATTRS", target)
    with pytest.raises(StoreUnavailable, match="PGTARGETSESSIONATTRS"):
        open_store("postgresql://h/db")


def socket_of(database):
    """The folder of the server's socket."""
    return parse_qs(urlsplit(database).query)["host"][0]


def written(database, way):
    """A URL that names a host where nobody is before the one of the database."""
    name, socket = urlsplit(database).path, socket_of(database)
    if way == "in the authority":
        return f"postgresql://postgres@127.0.0.1:1,{quote(socket, safe='')}:5432{name}"
    return f"postgresql://postgres@{name}?host=/nowhere,{quote(socket)}&port=5432"


@pytest.mark.parametrize("way", ["in the authority", "in the options"])
async def test_a_runtime_works_with_the_host_that_answers(database, way):
    """Its pool, its listener and its heartbeat pass over the one where nobody is."""
    pipeline = Pipeline("hosts")

    @pipeline.asset
    async def answer() -> int:
        return 42

    async with Runtime(pipeline, store=written(database, way)) as runtime:
        run = await runtime.submit("answer")
        assert await (await run.wait()).value() == 42
        assert await runtime.health()


async def test_a_host_that_takes_no_writes_is_passed_over(database):
    """If there is no other one, the sentence says so."""
    name = urlsplit(database).path.removeprefix("/")
    connection = await asyncpg.connect(database)
    await connection.execute(f'ALTER DATABASE "{name}" SET default_transaction_read_only = on')
    await connection.close()
    socket = quote(socket_of(database))
    with pytest.raises(StoreUnavailable, match=r"none of the hosts of .* takes writes now; name the primary"):
        await PostgresStore(f"postgresql://postgres@/{name}?host={socket},{socket}").open()


async def test_a_password_may_come_from_elsewhere(database, tmp_path, monkeypatch):
    """From PGPASSWORD, or from a file of passwords, as for every program that uses libpq; nothing shows it."""
    (tmp_path / "pgpass").write_text(f"*:*:*:*:{SECRET}\n")
    (tmp_path / "pgpass").chmod(0o600)
    for name, value in (("PGPASSWORD", SECRET), ("PGPASSFILE", str(tmp_path / "pgpass"))):
        monkeypatch.setenv(name, value)
        store = PostgresStore(database)
        await store.open()
        assert SECRET not in str(store.address) + repr(store)
        await store.close()
        monkeypatch.delenv(name)
