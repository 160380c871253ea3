"""What the database forgets: in small transactions, so that nobody waits for them.

Any number of nodes may do this at once; each takes what the others have not locked. A run that has very many
steps is taken apart over several transactions, its head last, so that an interruption leaves nothing behind that
would not be found again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from flowstone.store.event_log import EVENTS_KEPT
from flowstone.store.postgres.columns import materialization_of
from flowstone.store.postgres.problems import ERRORS, unavailable
from flowstone.store.postgres.sql import query

if TYPE_CHECKING:
    from collections.abc import Collection

    from flowstone.runs.records import Materialization
    from flowstone.store.postgres.database import Connection, Database

__all__ = ["Retention"]

_RUNS: Final = 20
_ROWS: Final = 5_000
_KEYS: Final = 500
_FORGOTTEN: Final = 10_000  # Successes that one call returns at most; the rest is for the next call.
_LOG_SECONDS: Final = 7 * 86_400.0
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
            async with self._database.transaction() as connection:
                rows = await connection.fetch(query("prune_runs"), keep, _RUNS)
                small = [
                    run_id
                    for run_id in sorted(row["id"] for row in rows)
                    if await _emptied(connection, run_id)
                ]
                for run_id in small:
                    await connection.execute(query("prune_leases"), run_id)
                    await connection.execute(query("prune_items"), run_id)
                    await connection.execute(query("prune_run"), run_id)
            if not rows:
                return

    async def _long_runs(self) -> None:
        """Finished runs keep only their newest events."""
        async with self._database.transaction() as connection:
            for row in await connection.fetch(query("prune_long"), EVENTS_KEPT, _RUNS):
                for name in ("prune_old_starts", "prune_old_events"):
                    await connection.execute(query(name), row["id"], row["first_event"])

    async def _housekeeping(self) -> None:
        async with self._database.transaction() as connection:
            await connection.execute(query("prune_log"), _LOG_SECONDS, _ROWS)
            await connection.execute(query("prune_journals"), _JOURNALS)
            await connection.execute(query("prune_nodes"))

    async def _versions(self, keep: int, assets: list[str] | None) -> list[Materialization]:
        forgotten: list[Materialization] = []
        while len(forgotten) < _FORGOTTEN:
            async with self._database.transaction() as connection:
                rows = await connection.fetch(query("prune_versions"), keep, _KEYS, assets)
            if not rows:
                break
            forgotten += [materialization_of(row) for row in rows]
        return forgotten


async def _emptied(connection: Connection, run_id: str) -> bool:
    """Take away events, waits and steps of a run, up to a bound; whether nothing is left of them."""
    for name in ("prune_starts", "prune_events", "prune_tokens", "prune_waits"):
        deleted: Any = await connection.execute(query(name), run_id, _ROWS)
        if int(deleted.rpartition(" ")[2]) >= _ROWS:
            return False
    steps: int = await connection.fetchval(query("prune_steps"), run_id, _ROWS)
    return steps < _ROWS
