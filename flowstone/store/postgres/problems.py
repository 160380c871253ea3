"""What goes wrong with a database: is it weather, which passes, or a mistake; and one sentence for it.

Weather is waited for: connections break, servers restart, disks fill and are cleared. A `CancelledError` or a
broken connection in the middle of a commit says nothing about whether it was done, so everything that is
tried again must be safe to repeat.
"""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Final

import asyncpg
from asyncpg import exceptions as pg

from flowstone.errors import StoreUnavailable

if TYPE_CHECKING:
    from flowstone.store.postgres.address import Address

__all__ = ["is_weather", "sentence", "unavailable"]

_WEATHER: Final = (
    OSError,  # With it: refused and reset connections, and TimeoutError.
    pg.PostgresConnectionError,
    pg.InterfaceError,  # Of a connection that is closed or was used after it broke.
    pg.InternalClientError,  # asyncpg's own state when a server is killed in the middle of an answer.
    pg.OperatorInterventionError,  # admin_shutdown, crash_shutdown, cannot_connect_now
    pg.TransactionRollbackError,  # deadlocks, serialization
    pg.InsufficientResourcesError,  # disk_full, too_many_connections, out of memory
    pg.ReadOnlySQLTransactionError,  # a primary that has just become a standby
    pg.LockNotAvailableError,
    pg.IdleInTransactionSessionTimeoutError,  # This process was away in the middle of a transaction.
    pg.PostgresSystemError,  # io_error
)


def is_weather(error: BaseException) -> bool:
    """Whether trying again later may help."""
    if isinstance(error, ValueError):
        return False  # An InterfaceError too: a value that does not fit, or a URL.
    return isinstance(error, _WEATHER) and not isinstance(error, pg.DatabaseDroppedError)


def unavailable(address: Address, error: BaseException) -> StoreUnavailable:
    """The error to raise for what the database or the network said."""
    made = StoreUnavailable(sentence(address, error))
    # What it says is printed below ours wherever a traceback is.
    error.args = tuple(address.masked(one) if isinstance(one, str) else one for one in error.args)
    made.__cause__ = error
    return made


def sentence(address: Address, error: BaseException) -> str:
    """What is wrong and what to do about it. The password is in none of these messages."""
    return address.masked(_words(address, error))


def _words(address: Address, error: BaseException) -> str:
    if isinstance(error, ConnectionError) and "SSL" in str(error):
        return f"{address} is no Postgres or does not speak TLS; correct host and port, or the URL's sslmode"
    for kind, words in _SENTENCES:
        if isinstance(error, kind):
            return words.format(
                address=address,
                user=repr(address.user or "(of the environment)"),
                database=address.database,
                host=repr(address.host),
                error=error,
            )
    return _unnamed(address, error)


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
        pg.ReadOnlySQLTransactionError,
        "{address} is read-only, a standby perhaps; name the primary, or make it writable",
    ),
    (
        pg.InsufficientPrivilegeError,
        "{address}: the user {user} may not use the schema flowstone ({error}); act as its owner, or be granted it",
    ),
    (
        pg.DiskFullError,
        "the disk of {address} is full; free some space there, and the store goes on by itself",
    ),
    (
        pg.TooManyConnectionsError,
        "{address} has no connection to spare ({error}); raise that limit, or run fewer processes",
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
        return f"{address}: {type(error).__name__}: {error}; see the server's log"
    return f"{address}: the connection failed ({type(error).__name__}: {error}); check that it is up"
