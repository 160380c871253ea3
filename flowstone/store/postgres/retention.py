"""What the database forgets: in small transactions, so that nobody waits for them.

Any number of nodes may do this at once; each takes what the others have not locked. A run that has very many
steps is taken apart over several transactions, its head last, so that an interruption leaves nothing behind that
would not be found again.

Its statements look for rows by index, also in a database that has grown faster than its statistics.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from flowstone.store.event_log import EVENTS_KEPT
from flowstone.store.postgres.columns import materialization_of
from flowstone.store.postgres.problems import ERRORS, unavailable
from flowstone.store.postgres.sql import query

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from flowstone.runs.records import Materialization
    from flowstone.store.postgres.database import Connection, Database

__all__ = ["Retention"]

_RUNS: Final = 20
_ROWS: Final = 5_000
_KEYS: Final = 500
_FORGOTTEN: Final = 10_000  # Successes that one call returns at most; the rest is for the next call.
_LOG_SECONDS: Final = 7 * 86_400.0
_FEED_SECONDS: Final = 3_600.0  # What a reader of the feed may be away.
_FEED_ROWS: Final = 10_000  # That stay in any case.
_JOURNALS: Final = 10_000  # One for each process that wrote.


class Retention:
    """Forgets what is beyond the limits."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def prune(
        self, keep_versions: int, keep_runs: int, assets: Collection[str] | None = None
    ) -> list[Materialization]:
        """See `Store.prune`. Raises `StoreUnavailable`."""
        try:
            await self._runs(keep_runs)
            await self._long_runs()
            await self._housekeeping()
            return await self._versions(keep_versions, None if assets is None else list(assets))
        except ERRORS as error:
            raise unavailable(self._database.address, error) from error

    async def _runs(self, keep: int) -> None:
        while True:
            async with self._database.transaction(by_index=True) as connection:
                rows = await connection.fetch(query("prune_runs"), keep, _RUNS)
                runs = sorted(row["id"] for row in rows)
                if runs and await _emptied(connection, runs):
                    await connection.execute(query("prune_leases"), runs)
                    await connection.execute(query("delete_runs"), runs)
            if not rows:
                return

    async def _long_runs(self) -> None:
        """Finished runs keep only their newest events."""
        while True:
            async with self._database.transaction(by_index=True) as connection:
                rows = await connection.fetch(query("prune_long"), EVENTS_KEPT, _RUNS)
                runs, firsts = [row["id"] for row in rows], [row["first_event"] for row in rows]
                if runs and await _cut(connection, runs, firsts):
                    await connection.execute(query("not_long"), runs)
            if not rows:
                return

    async def _housekeeping(self) -> None:
        async with self._database.transaction(by_index=True) as connection:
            await connection.execute(query("prune_log"), _LOG_SECONDS, _ROWS)
            await connection.execute(query("prune_journals"), _JOURNALS)
            await connection.execute(query("prune_nodes"))
            await connection.execute(query("prune_feed"), _FEED_SECONDS, _FEED_ROWS, _ROWS)

    async def _versions(self, keep: int, assets: list[str] | None) -> list[Materialization]:
        forgotten: list[Materialization] = []
        while len(forgotten) < _FORGOTTEN:
            async with self._database.transaction(by_index=True) as connection:
                rows = await connection.fetch(query("prune_versions"), keep, _KEYS, assets)
            if not rows:
                break
            forgotten += [materialization_of(row) for row in rows]
        return forgotten


async def _emptied(connection: Connection, runs: Sequence[str]) -> bool:
    """Take away what runs have, up to a bound; whether nothing is left of it."""
    for name in ("prune_starts", "prune_events", "prune_tokens", "prune_waits", "prune_callers"):
        if await _deleted(connection, name, runs, _ROWS) >= _ROWS:
            return False
    for name in ("prune_steps", "prune_items"):
        taken: int = await connection.fetchval(query(name), runs, _ROWS)
        if taken >= _ROWS:
            return False
    return True


async def _cut(connection: Connection, runs: Sequence[str], firsts: Sequence[int]) -> bool:
    """Take away events of runs before these, up to a bound; whether none are left of them."""
    for name in ("prune_old_starts", "prune_old_events"):
        if await _deleted(connection, name, runs, firsts, _ROWS) >= _ROWS:
            return False
    return True


async def _deleted(connection: Connection, name: str, *arguments: Any) -> int:
    """How many rows a statement has deleted."""
    status: str = await connection.execute(query(name), *arguments)
    return int(status.rpartition(" ")[2])
