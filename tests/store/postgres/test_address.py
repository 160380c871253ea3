"""URLs are shown without their secrets, and what is wrong with a database is one sentence with a remedy."""

from __future__ import annotations

import re
import socket

import asyncpg
import pytest

from flowstone.errors import StoreUnavailable
from flowstone.store import open_store
from flowstone.store.postgres import PostgresStore
from flowstone.store.postgres.address import Address
from flowstone.store.postgres.problems import is_everywhere, is_transient, sentence, unavailable
from flowstone.store.protocol import StoreRefused

SECRET = "hunter2"


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        (f"postgresql://ada:{SECRET}@db.example:5433/shop", "postgresql://ada@db.example:5433/shop"),
        (f"postgresql://ada@db/shop?password={SECRET}", "postgresql://ada@db/shop"),
        ("postgresql:///shop", "postgresql:///shop"),
        ("postgresql://postgres@/shop?host=/run/pg", "postgresql://postgres@/run/pg/shop"),
        (f"postgresql://a%40b:{SECRET}@h/d", "postgresql://a@b@h/d"),
    ],
)
def test_a_url_is_shown_without_its_password(url, shown):
    """Neither text nor repr of an address or a store holds it."""
    address = Address.of(url)
    assert str(address) == shown
    assert SECRET not in repr(address)
    assert SECRET not in str(PostgresStore(url).address)


@pytest.mark.parametrize("url", [f"postgresql://ada:{SECRET}@[::1/shop", f"postgresql://h:{SECRET}/d"])
def test_what_is_no_url_is_refused_without_repeating_it(url):
    """The message says how one is written."""
    with pytest.raises(StoreUnavailable, match="postgresql://USER:PASSWORD@HOST") as caught:
        open_store(url)
    assert SECRET not in str(caught.value)


async def test_nobody_answers():
    """A port that nothing listens on, and a socket that is not there."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        with pytest.raises(StoreUnavailable, match=rf"nobody answers at .*:{port}.*start Postgres"):
            await PostgresStore(f"postgresql://u:{SECRET}@127.0.0.1:{port}/d").open()
    with pytest.raises(StoreUnavailable, match="nobody answers at"):
        await PostgresStore("postgresql://u@/d?host=/nowhere").open()


async def test_an_unknown_host():
    """The name is named."""
    with pytest.raises(StoreUnavailable, match=r"'no-such-host\.invalid' is unknown"):
        await PostgresStore("postgresql://u@no-such-host.invalid/d").open()


async def test_an_unknown_database(postgres_server):
    """How to make it."""
    with pytest.raises(StoreUnavailable, match=r"no such database; create it \(createdb missing\)"):
        await PostgresStore(postgres_server.url("missing")).open()


async def test_a_role_that_may_not_connect(postgres_server):
    """An unknown user is a matter of the URL."""
    with pytest.raises(StoreUnavailable, match="refuses the user 'nobody_knows'"):
        await PostgresStore(postgres_server.dsn.replace("postgres@", "nobody_knows@", 1)).open()


@pytest.mark.parametrize(
    ("error", "transient", "says"),
    [
        (asyncpg.InvalidPasswordError("no"), False, "refuses the user 'ada' or the password"),
        (asyncpg.DiskFullError("no"), True, "disk of .* is full; free some space"),
        (asyncpg.TooManyConnectionsError("no"), True, "no free connection"),
        (asyncpg.CannotConnectNowError("no"), True, "starting up or shutting down"),
        (asyncpg.AdminShutdownError("no"), True, "starting up or shutting down"),
        (asyncpg.ReadOnlySQLTransactionError("no"), True, "is read-only"),
        (asyncpg.DeadlockDetectedError("no"), True, "DeadlockDetectedError"),
        (asyncpg.InsufficientPrivilegeError("no"), False, "may not use the schema"),
        (asyncpg.UniqueViolationError("no"), False, r"UniqueViolationError \(23505\): no"),
        (asyncpg.InterfaceError("the connection is closed"), True, "the connection failed"),
        (asyncpg.InternalClientError("odd"), True, "the connection failed"),
        (ConnectionResetError(), True, "nobody answers"),
        (TimeoutError(), True, "does not answer"),
        (OSError(113, "No route to host"), True, "No route to host"),
        (ValueError("not a number"), False, "the connection failed"),
    ],
)
def test_every_error_is_a_sentence(error, transient, says):
    """Transient is what passes by itself; anything else is told at once."""
    address = Address.of(f"postgresql://ada:{SECRET}@db/shop")
    assert is_transient(error) is transient
    text = sentence(address, error)
    assert re.search(says, text)
    assert SECRET not in text


TRANSIENT = [
    "08006",
    "40001",
    "40P01",
    "53100",
    "53200",
    "53300",
    "57014",
    "57P01",
    "57P03",
    "57P05",
    "25006",
]
PERMANENT = [
    "57P04",
    "54000",
    "22021",
    "23505",
    "42501",
    "42P01",
    "3D000",
    "3F000",
    "28P01",
    "0A000",
    "XX000",
]


@pytest.mark.parametrize(
    "state", [*TRANSIENT, "25P03", "55P03", "58030", *PERMANENT, "58P01", "25001", "99999"]
)
def test_what_passes_by_itself_is_known_by_its_code(state):
    """Classes and codes that are named are transient; everything else, unknown ones included, is permanent."""
    error = asyncpg.PostgresError.new({"C": state, "M": "no"})
    named = state in TRANSIENT or state in {"25P03", "55P03", "58030"}
    assert is_transient(error) is named
    told = unavailable(Address.of("postgresql://ada@db/shop"), error)
    assert isinstance(told, StoreRefused) is not named
    assert not (named and is_everywhere(error))


def test_a_statement_that_a_migration_made_old_is_asked_again():
    """It is prepared again then."""
    assert is_transient(asyncpg.InvalidCachedStatementError("cached plan must not change result type"))
