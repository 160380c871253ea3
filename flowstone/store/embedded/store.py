"""The store behind `embedded://DIR`: a Postgres server of our own in that directory, and the store in it."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

from flowstone.store.embedded.server import EmbeddedServer
from flowstone.store.postgres import PostgresStore

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path
    from random import Random

    from flowstone.store.postgres.database import Database

__all__ = ["LINGER", "EmbeddedStore"]

LINGER: Final = 10.0
"""Seconds that a store's server goes on after its last user, unless its URL says otherwise."""


class EmbeddedStore(PostgresStore):
    """Starts the server, or joins the one that runs; it stops when nobody has used it for a while.

    Args:
        directory: Where the database lives.
        linger: Seconds that the server goes on after the last store that used it was closed, or its process
            killed: whoever opens it within that time need not start it. `migrate` and `diagnose` of a store
            that is not open leave no server behind.
        auto_migrate: As for `PostgresStore`.
        random: As for `PostgresStore`.
    """

    def __init__(
        self,
        directory: Path,
        *,
        linger: float = LINGER,
        auto_migrate: bool = True,
        random: Random | None = None,
    ) -> None:
        super().__init__("postgresql://", auto_migrate=auto_migrate, random=random)
        self.directory = directory
        self._server = EmbeddedServer(directory, linger=linger)

    async def open(self) -> None:
        if self.is_open:
            return
        self._use(await self._server.open(), self._server.open)
        try:
            await super().open()
        except BaseException:
            await self._server.close()
            raise

    @asynccontextmanager
    async def _reached(self, connect_timeout: float | None) -> AsyncIterator[Database]:
        started = not self.is_open
        if started:
            self._use(await self._server.open(), self._server.open)
        try:
            async with super()._reached(connect_timeout) as database:
                yield database
        finally:
            if started:
                await self._server.close(at_once=True)

    async def close(self) -> None:
        try:
            await super().close()
        finally:
            await self._server.close()
