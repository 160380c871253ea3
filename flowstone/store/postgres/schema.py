"""The schema `flowstone`: numbered migrations that only go forward, applied by one process at a time.

All of a database's missing migrations are applied in one transaction under an advisory lock, so that whoever
looks sees either the old schema or the new one, and processes that start together do not race.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import asyncpg

from flowstone.errors import StoreUnavailable
from flowstone.remedies import Remedies
from flowstone.store.postgres.problems import ERRORS, unavailable
from flowstone.store.postgres.queue import install_queue, load_queue
from flowstone.store.postgres.sql import migrations, query
from flowstone.store.protocol import NoSchema

if TYPE_CHECKING:
    from flowstone.store.postgres.database import Connection, Database

__all__ = ["LATEST", "installed", "migrate", "require", "require_writable"]

LATEST: Final = 45
"""The version this release works with; a test holds it against the files."""

_PATIENCE: Final = 3_600.0  # Seconds for one migration of a large database, and for whoever waits for it.


async def installed(connection: Connection) -> int:
    """The version of the schema; 0 where there is none."""
    if not await connection.fetchval(query("schema_exists")):
        return 0
    version: int = await connection.fetchval(query("schema_version"))
    return version


async def require(database: Database) -> None:
    """Check that the schema is what this release works with.

    Raises:
        StoreUnavailable: It is older (run `flowstone migrate`) or newer (upgrade FlowStone).
    """
    try:
        async with database.transaction() as connection:
            version = await installed(connection)
    except ERRORS as error:
        raise unavailable(database.address, error) from error
    _refuse_newer(database, version)
    if version < LATEST:
        state = (
            "has no schema flowstone" if version == 0 else f"has version {version} of the schema flowstone"
        )
        kind = NoSchema if version == 0 else StoreUnavailable
        raise kind(
            f"{database.address} {state} and this FlowStone needs version {LATEST}.",
            remedies=Remedies(
                "Run `flowstone migrate --store URL`, or enter it with auto_migrate on.",
                "Run `flowstone migrate --store URL`.",
            ),
        )


async def require_writable(database: Database) -> None:
    """Check that the database takes writes, which later would be waited for or refused in the middle of a run.

    Raises:
        StoreUnavailable: It is a standby, somebody made it read-only, or the user lacks a right.
    """
    (row,) = await database.fetch("fitness")
    if row["read_only"]:
        raise unavailable(database.address, asyncpg.ReadOnlySQLTransactionError())
    if row["closed"]:
        raise unavailable(
            database.address, asyncpg.InsufficientPrivilegeError(f"no right to {row['closed']}")
        )


async def migrate(database: Database) -> list[str]:
    """Bring the schema up to date; returns the names of the migrations that were applied.

    Raises:
        StoreUnavailable: The user may not, the database is read-only, or it is newer than this release.
    """
    try:
        async with database.transaction() as connection:
            if await installed(connection) == LATEST:
                return []
        load_queue()
        async with database.transaction() as connection:
            return await _migrate(database, connection)
    except ERRORS as error:
        raise unavailable(database.address, error) from error


async def _migrate(database: Database, connection: Connection) -> list[str]:
    await connection.execute(query("lock_schema"), timeout=_PATIENCE)
    version = await installed(connection)
    _refuse_newer(database, version)
    applied = []
    if version == 0:
        await connection.execute(query("create_schema"))
    for number, name, text in migrations():
        if number > version:
            await connection.execute(text, timeout=_PATIENCE)
            await connection.execute(query("note_migration"), number, name)
            applied.append(f"{number:04d}_{name}")
    if version == 0:
        await install_queue(connection)
    return applied


def _refuse_newer(database: Database, version: int) -> None:
    if version > LATEST:
        raise StoreUnavailable(
            f"{database.address} has version {version} of the schema flowstone, made by a newer FlowStone; this "
            f"one knows {LATEST}: upgrade it"
        )
