"""What goes wrong with a database: what passes by itself, what does not; and one sentence for it.

This is the one place that says which errors are *transient*: connections break, servers restart, disks fill
and are cleared. What is transient is tried again, so everything that is asked must be safe to repeat: a broken
connection in the middle of a commit says nothing about whether it was done. Everything else is *permanent*: the
same question gets the same answer, so it is told at once, to the one who asked.

Of the permanent ones some are about the store as a whole and not about what was asked: there is no such schema,
no such database, nobody is let in. Then there is no use in looking for the write that is to blame.
"""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Final

import asyncpg
from asyncpg import exceptions as pg

from flowstone.errors import StoreUnavailable
from flowstone.store.protocol import StoreRefused

if TYPE_CHECKING:
    from flowstone.store.postgres.address import Address

__all__ = ["ERRORS", "encoding_refused", "grants", "is_everywhere", "is_transient", "sentence", "unavailable"]

ERRORS: Final = (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError)
"""What asking a database may raise; `TimeoutError` is an `OSError`."""

_TRANSIENT: Final = {
    "08": "the connection failed",
    "40": "the transaction was rolled back for another one's sake: deadlock, serialization",
    "53": "a resource has run out: disk_full, out_of_memory, too_many_connections",
    "57": "somebody stopped it: query_canceled (57014), admin_shutdown, crash_shutdown, cannot_connect_now",
    "25006": "read_only_sql_transaction: a primary that has just become a standby",
    "25P03": "idle_in_transaction_session_timeout: this process was away in the middle of a transaction",
    "25P04": "transaction_timeout: as query_canceled",
    "55P03": "lock_not_available: lock_timeout",
    "58030": "io_error: of a disk that may come back",
}
"""Classes (two characters) and codes (five) of SQLSTATE that may pass by themselves, each with its reason."""

_PERMANENT: Final = {
    "57P04": "database_dropped",
}
"""Codes within those classes that do not."""

_EVERYWHERE: Final = {
    "28": "nobody of that name or password is let in",
    "3D000": "there is no such database",
    "3F000": "there is no such schema",
    "42P01": "a table is missing: somebody dropped it, or the schema",
    "42883": "a function is missing",
    "57P04": "database_dropped",
}
"""Permanent, and the same answer to whatever is asked."""


def is_transient(error: BaseException) -> bool:
    """Whether trying again later may help. All else is permanent."""
    if isinstance(error, pg.PostgresError):
        if isinstance(error, pg.InvalidCachedStatementError):
            return True  # A migration has changed a table; the statement is prepared again.
        state = error.sqlstate or ""
        return state not in _PERMANENT and _named(_TRANSIENT, state)
    if isinstance(error, ValueError):
        return False  # An InterfaceError too: a value that does not fit, or a URL.
    # OSError: refused and reset connections, and TimeoutError. InterfaceError: of a connection that is closed or
    # was used after it broke. InternalClientError: asyncpg's own state when a server is killed in mid-answer.
    return isinstance(error, OSError | pg.InterfaceError | pg.InternalClientError)


def is_everywhere(error: BaseException) -> bool:
    """Whether a permanent error is the store's and not that of what was asked."""
    return isinstance(error, pg.PostgresError) and _named(_EVERYWHERE, error.sqlstate or "")


def _named(table: dict[str, str], state: str) -> bool:
    return state in table or state[:2] in table


def unavailable(address: Address, error: BaseException) -> StoreUnavailable:
    """The error to raise for what the database or the network said."""
    kind = StoreUnavailable if is_transient(error) else StoreRefused
    made = kind(sentence(address, error))
    # What it says is printed below ours wherever a traceback is.
    error.args = tuple(address.masked(one) if isinstance(one, str) else one for one in error.args)
    made.__cause__ = error
    return made


def sentence(address: Address, error: BaseException) -> str:
    """What is wrong and what to do about it. The password is in none of these messages."""
    return address.masked(_words(address, error))


def _words(address: Address, error: BaseException) -> str:
    if isinstance(error, ConnectionError) and "SSL" in str(error):
        return (
            f"{address} is not Postgres, or does not speak TLS; correct host and port, or the URL's sslmode"
        )
    for kind, words in _SENTENCES:
        if isinstance(error, kind):
            return words.format(
                address=address,
                user=repr(address.user or "(of the environment)"),
                role=repr(address.role or "(of the environment)"),
                database=address.database,
                host=repr(address.host),
                error=error,
                grants=grants(address.role),
            )
    return _unnamed(address, error)


def encoding_refused(address: Address, encoding: str) -> str:
    """For a database that cannot hold every text."""
    return (
        f"{address}: the database keeps text as {encoding}, which cannot hold every text; "
        f"name one that was made by: CREATE DATABASE {address.database} ENCODING 'UTF8' TEMPLATE template0"
    )


def grants(user: str | None) -> str:
    """The statements that let a user work with a schema that another one owns."""
    to = '"' + (user or "USER").replace('"', '""') + '"'
    return (
        f"GRANT USAGE ON SCHEMA flowstone TO {to}; "
        f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA flowstone TO {to}; "
        f"GRANT USAGE ON ALL SEQUENCES IN SCHEMA flowstone TO {to}"
    )


_SENTENCES: Final[tuple[tuple[type[BaseException] | tuple[type[BaseException], ...], str], ...]] = (
    (
        pg.InvalidPasswordError,
        "{address} refuses the user {user} or the password; correct them in the store URL, or set PGPASSWORD",
    ),
    (
        pg.InvalidAuthorizationSpecificationError,  # No such role, or no line of pg_hba.conf lets it in.
        "{address} refuses the user {user} ({error}); correct the store URL, or let the user in there",
    ),
    (
        pg.InvalidCatalogNameError,
        "{address}: there is no such database; create it (createdb {database}) or name another one",
    ),
    (
        (pg.InvalidSchemaNameError, pg.UndefinedTableError, pg.UndefinedFunctionError),
        "{address}: the schema flowstone is not there, or not whole ({error}); restore it, or `flowstone migrate`",
    ),
    (
        pg.ReadOnlySQLTransactionError,
        "{address} is read-only, a standby perhaps; name the primary, or make it writable",
    ),
    (
        pg.InsufficientPrivilegeError,
        "{address}: {role} may not use the schema flowstone ({error}); act as its owner, or have it run: {grants}",
    ),
    (
        pg.TargetServerAttributeNotMatched,
        "none of the hosts of {address} takes writes now; name the primary, or wait until there is one",
    ),
    (
        pg.DiskFullError,
        "the disk of {address} is full; free some space there, and the store goes on by itself",
    ),
    (
        pg.TooManyConnectionsError,
        "{address} has no free connection ({error}); raise that limit, or run fewer processes",
    ),
    (
        (pg.CannotConnectNowError, pg.AdminShutdownError, pg.CrashShutdownError),
        "{address} is starting up or shutting down; wait, or see its log",
    ),
    (
        (pg.ClientConfigurationError, pg.UndefinedObjectError),  # The latter: an option it does not know.
        "the store URL of {address} cannot be used: {error}; correct it",
    ),
    (
        socket.gaierror,
        "{address}: the host {host} is unknown; correct it in the store URL",
    ),
    (
        TimeoutError,
        "{address} does not answer; check that it is up and can be reached from here",
    ),
    (
        (ConnectionError, FileNotFoundError),
        "nobody answers at {address}; start Postgres there, or correct host and port",
    ),
)


def _unnamed(address: Address, error: BaseException) -> str:
    if isinstance(error, OSError):
        return f"{address} cannot be reached ({error.strerror or error}); check host, port and network"
    if isinstance(error, asyncpg.PostgresError):
        return f"{address}: {type(error).__name__} ({error.sqlstate}): {error}; see the server's log"
    return f"{address}: the connection failed ({type(error).__name__}: {error}); check that it is up"
