"""The call of `Runtime` that says who did what."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flowstone.runtime.asset_records import AssetRecords
from flowstone.runtime.client.requests import asset_named, bounded_count, checked_count

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flowstone.runs.audit import AuditEntry

__all__ = ["Auditing"]


class Auditing(AssetRecords):
    """The audit log."""

    async def audit(
        self,
        asset: Any = None,
        run_id: str | None = None,
        *,
        by: str | None = None,
        limit: int = 100,
        before: int | None = None,
    ) -> Sequence[AuditEntry]:
        """Who did what, when, and on what: the audit log, the newest first.

        Runs that were asked for or cancelled, decisions, signals, automations that were paused, resumed or fired by
        hand, values and partitions that were changed without a run, pools, tokens and who logged in. The store
        makes an entry in the same transaction as what was done; its order is that in which it did. The oldest are
        forgotten (`keep_audit`).

        Args:
            asset: Only what was done to this asset: name, `Asset` or decorated function. Default: to any.
            run_id: Only what was done to this run, also when it is forgotten. Default: to any.
            by: Only what was done by them. Default: by anybody.
            limit: How many at most.
            before: Only what came before the entry with this `id`: the last one of the page before.

        Raises:
            AssetNotFound: There is no such asset.
            ValueError: `limit` is no positive whole number, or `before` none of at least 0.
            StoreUnavailable: The store does not answer.
        """
        ctx = self._started()
        name = None if asset is None else asset_named(ctx.snapshot.graph, asset).name
        most = bounded_count("limit", limit)
        last = None if before is None else checked_count("before", before, least=0)
        return await ctx.store.audit.entries(asset=name, run_id=run_id, by=by, limit=most, before=last)
