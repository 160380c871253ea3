"""Connections to one database, and patience with it: what may work later is asked again.

A pooler such as pgbouncer in transaction mode gives each transaction another connection of the server. Then
nothing may outlast a transaction: no prepared statement, no LISTEN, no session lock. It is recognised by the
process id it made up when it was connected to, which is not that of the server process that answers.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from random import Random
from typing import TYPE_CHECKING, Any, Final, TypeVar

import asyncpg

from flowstone.backoff import Backoff
from flowstone.errors import StoreUnavailable
from flowstone.store.postgres.health import DatabaseHealth
from flowstone.store.postgres.problems import (
    ERRORS,
    encoding_refused,
    is_transient,
    unavailable,
)
from flowstone.store.postgres.sql import query
from flowstone.store.protocol import StoreRefused

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

    from flowstone.store.postgres.address import Address

__all__ = ["Connection", "Database"]

T = TypeVar("T")
Connection = Any
"""An asyncpg connection, or the pool's proxy of one."""

_FIRST_PAUSE: Final = 0.05
_LONGEST_PAUSE: Final = 2.0
# Seconds a question waits for the database; writes wait as long as it takes (journal.py).
_PATIENCE: Final = 60.0
_ANSWER: Final = 20.0  # Seconds for one statement, before another connection is tried.
_CONNECT: Final = 10.0
# Milliseconds between two statements of a transaction. A process that is stopped, or a machine that is gone, in the
# middle of one must not hold its locks for as long as it is away: others may be waiting to take over its runs.
_IDLE: Final = 5_000
_POOL: Final = 8
_LARGE: Final = 4
_MINIMUM: Final = 14


class _PooledConnection(asyncpg.Connection):  # type: ignore[misc] # asyncpg has no types
    """A connection of the pool. Nobody leaves settings, locks or cursors behind on it, so it needs no cleaning."""

    def get_reset_query(self) -> str:
        """What is sent whenever it is given back: a second round trip for each question."""
        return ""


class Database:
    """One database, open or not.

    Args:
        address: Where it is.
        random: Jitter of the pauses.
        repair: Called now and then while the database does not answer, to start it again where that is ours to do.

    Attributes:
        address: As given.
        health: Why it does not answer at present, and what is tried again.
        pooled: Whether a pooler stands between; known once open.
        large: Held while a large value goes to or fro, by so few that others find a connection; there once open.
    """

    def __init__(
        self,
        address: Address,
        random: Random | None = None,
        repair: Callable[[], Awaitable[object]] | None = None,
    ) -> None:
        self.address = address
        self.pooled = False
        self.health = DatabaseHealth(address)
        self.large: asyncio.Semaphore
        self._random = random or Random()  # noqa: S311 - jitter, not secrets
        self._repair = repair
        self._repairing = False
        self._pool: asyncpg.Pool[Any] | None = None

    @property
    def is_open(self) -> bool:
        """Whether `open` was called and `close` was not."""
        return self._pool is not None

    async def open(self) -> None:
        """Connect.

        Raises:
            StoreUnavailable: It cannot be reached, is too old, or cannot hold every text.
        """
        if self._pool is not None:
            return
        try:
            connection = await self._first()
            try:
                self.pooled = await _is_pooled(connection)
            finally:
                await connection.close()
            self._pool = await asyncpg.create_pool(
                self.address.dsn,
                min_size=0,
                max_size=_POOL,
                connection_class=_PooledConnection,
                **self._options(),
            )
            self.large = asyncio.Semaphore(_LARGE)
        except Exception as error:
            raise self._refusal(error) from error

    async def close(self) -> None:
        """Let go of the connections."""
        pool, self._pool = self._pool, None
        if pool is None:
            return
        try:
            async with asyncio.timeout(5.0):
                await pool.close()
        except Exception:
            pool.terminate()

    async def connect(self) -> Connection:
        """A connection outside of the pool, for one who keeps it."""
        return await asyncpg.connect(self.address.dsn, **self._options())

    def _options(self) -> dict[str, Any]:
        """How to connect. A pooler refuses settings at the start of a session, and keeps no statements.

        How long a statement may take is said here: what a database or a role has for the statements of people
        would stop each try of a long one, for ever.
        """
        options: dict[str, Any] = {"timeout": _CONNECT, "command_timeout": _ANSWER}
        options["target_session_attrs"] = self.address.target
        if self.pooled:
            return {**options, "statement_cache_size": 0}
        settings = {
            "application_name": "flowstone",
            "idle_in_transaction_session_timeout": str(_IDLE),
            "statement_timeout": "0",
            "lock_timeout": "0",
        }
        return {**options, "server_settings": settings}

    @asynccontextmanager
    async def transaction(self, *, by_index: bool = False) -> AsyncIterator[Connection]:
        """A transaction on a connection of the pool; its errors are asyncpg's.

        Args:
            by_index: Whether its statements look for rows by index, whatever the statistics say.
        """
        assert self._pool is not None, "the store is open"
        async with self._pool.acquire() as connection, connection.transaction():
            if by_index:
                await connection.execute(query("by_index"))
            yield connection

    async def transact(
        self, what: str, work: Callable[[Connection], Awaitable[T]], *, by_index: bool = False
    ) -> T:
        """One transaction, again until it works: whatever it does is safe to repeat. Raises as `fetch`."""

        async def once() -> T:
            async with self.transaction(by_index=by_index) as connection:
                return await work(connection)

        return await self.patiently(once, what)

    async def fetch(self, name: str, *arguments: Any) -> Sequence[Any]:
        """The rows of the statement of that name. Safe to repeat, or it must not be asked for here.

        Raises:
            StoreUnavailable: The database has not answered for a minute, or refuses the statement.
        """
        rows, _ = await self.fetch_counting(name, *arguments)
        return rows

    async def fetch_counting(self, name: str, *arguments: Any) -> tuple[Sequence[Any], int]:
        """As `fetch`, and how often it was tried: a try before the last may have been done, its answer lost."""
        text = query(name)
        tries = 0

        async def ask() -> Sequence[Any]:
            nonlocal tries
            tries += 1
            return await self._fetch(text, arguments)

        return await self.patiently(ask, name.replace("_", " ")), tries

    async def patiently(self, ask: Callable[[], Awaitable[T]], what: str, patience: float = _PATIENCE) -> T:
        """Do something that is safe to repeat until it works, or has not for so many seconds.

        Args:
            ask: Does it.
            what: It, in a word or two, for `problem`.
            patience: So many seconds.

        Raises:
            StoreUnavailable: As `fetch`.
        """
        with self.health.retrying(what) as failed:
            return await self._patiently(ask, failed, asyncio.get_running_loop().time() + patience)

    async def _patiently(
        self, ask: Callable[[], Awaitable[T]], failed: Callable[[BaseException], None], deadline: float
    ) -> T:
        loop = asyncio.get_running_loop()
        backoff = self.backoff()
        while True:
            try:
                with self.health.asking():
                    answer = await ask()
            except ERRORS as error:
                if self._pool is None:
                    raise unavailable(self.address, error) from error
                if not is_transient(error):
                    self.health.refused(error)
                    raise unavailable(self.address, error) from error
                if loop.time() > deadline:
                    raise unavailable(self.address, error) from error
                failed(error)
            else:
                self.health.fine()
                return answer
            await self.pause(backoff)

    def backoff(self) -> Backoff:
        """The pauses between the tries of one question, for `pause`."""
        return Backoff(_FIRST_PAUSE, _LONGEST_PAUSE, self._random)

    async def pause(self, backoff: Backoff) -> None:
        """Wait until the next try, and have the database started again where that is ours to do."""
        await asyncio.sleep(backoff.pause())
        if self._repair is not None and not self._repairing and self.health.problem is not None:
            self._repairing = True
            try:
                await self._repair()
            except StoreUnavailable as error:
                self.health.unrepaired(str(error))
            finally:
                self._repairing = False

    async def _fetch(self, text: str, arguments: Sequence[Any]) -> Sequence[Any]:
        if self._pool is None:
            raise asyncpg.InterfaceError("the store is closed")
        if not self.pooled:
            rows: Sequence[Any] = await self._pool.fetch(text, *arguments)
            return rows
        async with self.transaction() as connection:  # So that a pooler keeps parse and execute together.
            kept: Sequence[Any] = await connection.fetch(text, *arguments)
            return kept

    async def _first(self) -> Connection:
        connection = await asyncpg.connect(
            self.address.dsn,
            command_timeout=_ANSWER,
            statement_cache_size=0,
            target_session_attrs=self.address.target,
        )
        version = connection.get_server_version()
        if version.major < _MINIMUM:
            await connection.close()
            raise asyncpg.ClientConfigurationError(
                f"it is PostgreSQL {version.major}, and FlowStone needs {_MINIMUM} or newer"
            )
        encoding = connection.get_settings().server_encoding
        if encoding != "UTF8":
            await connection.close()
            raise StoreRefused(encoding_refused(self.address, encoding))
        return connection

    def _refusal(self, error: Exception) -> Exception:
        told = isinstance(error, TimeoutError | StoreUnavailable)
        return error if told else unavailable(self.address, error)


async def _is_pooled(connection: Connection) -> bool:
    async with connection.transaction():
        answered = await connection.fetchval("select pg_backend_pid()")
    return bool(answered != connection.get_server_pid())
