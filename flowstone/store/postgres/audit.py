"""The audit log in Postgres. `flowstone.store.audit` says what each call promises, migration 0042 who writes it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from flowstone.runs.audit import AuditEntry
from flowstone.store.audit import Audit
from flowstone.store.postgres.texts import from_json, key_of
from flowstone.store.sanitise import sanitised_act, sanitised_name

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flowstone.runs.audit import Act
    from flowstone.store.postgres.database import Database

__all__ = ["PostgresAudit", "act_columns"]

_AT_A_TIME: Final = 5_000
_HIGHEST: Final = 2**63 - 1


class PostgresAudit(Audit):
    """The audit log of one database.

    Args:
        database: Where.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def entries(
        self,
        *,
        asset: str | None = None,
        run_id: str | None = None,
        by: str | None = None,
        limit: int = 100,
        before: int | None = None,
    ) -> Sequence[AuditEntry]:
        end = None if before is None else min(before, _HIGHEST)
        asset, run_id, by = map(sanitised_name, (asset, run_id, by))
        most = (by, end, max(0, limit))
        if asset is not None:
            rows = await self._database.fetch("audit_of_asset", asset, run_id, *most)
        elif run_id is not None:
            rows = await self._database.fetch("audit_of_run", run_id, *most)
        else:
            rows = await self._database.fetch("audit", *most)
        return [_entry(row) for row in rows]

    async def prune(self, keep: int) -> bool:
        pruned = False
        while (await self._database.fetch("prune_audit", keep, _AT_A_TIME))[0]["count"]:
            pruned = True
        return pruned


def act_columns(act: Act | None) -> tuple[str | None, str, bool]:
    """Who does something, why, and whether it is noted."""
    if act is None:
        return None, "", False
    act = sanitised_act(act)
    return act.by or None, act.reason, True


def _entry(row: Any) -> AuditEntry:
    details = {} if row["details"] is None else from_json(row["details"])
    if row["beside"] is not None:
        details["beside"] = list(row["beside"])
    return AuditEntry(
        row["number"],
        row["at"],
        row["action"],
        row["by"],
        row["asset"] or None,
        key_of(row["key"]),
        row["run_id"] or None,
        row["name"],
        row["reason"],
        details,
    )
