"""How fresh an asset is."""

from __future__ import annotations

from typing import Literal

from flowstone.runs.asset_freshness import FreshnessStatus
from flowstone.wire.model import Instant, Model

__all__ = ["FreshnessModel"]


class FreshnessModel(Model):
    """How fresh the newest value of an asset is."""

    status: Literal["fresh", "late", "overdue", "unknown"]
    """`late`: older than it is to be; `overdue`: so old that somebody should see to it."""
    since: Instant | None
    """When that began."""
    within: float
    """Seconds after which it is late."""
    overdue: float
    """Seconds after which it is overdue."""
    materialized_at: Instant | None
    """When the newest value was computed."""

    @classmethod
    def of(cls, status: FreshnessStatus) -> FreshnessModel:
        """As the API shows it."""
        return cls(
            status=status.status,
            since=status.since,
            within=status.within,
            overdue=status.overdue,
            materialized_at=status.materialized_at,
        )
