"""The store behind `embedded://DIR`: a Postgres server of our own in that directory, and the store in it."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from flowstone.store.embedded.server import EmbeddedServer
from flowstone.store.postgres import PostgresStore

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path
    from random import Random

    from flowstone.store.postgres.database import Database

__all__ = ["EmbeddedStore"]


class EmbeddedStore(PostgresStore):
    """Starts the server, or joins the one that another process started; the last one to close it stops it.

    Args:
        directory: Where the database lives.
        auto_migrate: As for `PostgresStore`.
        random: As for `PostgresStore`.
    """

    def __init__(self, directory: Path, *, auto_migrate: bool = True, random: Random | None = None) -> None:
        super().__init__("postgresql://", auto_migrate=auto_migrate, random=random)
        self.directory = directory
        self._server = EmbeddedServer(directory)

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
                await self._server.close()

    async def close(self) -> None:
        try:
            await super().close()
        finally:
            await self._server.close()
