"""How fresh an asset is."""

from __future__ import annotations

from typing import Literal

from flowstone.assets.partition_keys import encode_partition
from flowstone.runs.asset_freshness import FreshnessStatus
from flowstone.wire.model import Instant, Model
from flowstone.wire.values import label, partition_of

__all__ = ["FreshnessModel"]


class FreshnessModel(Model):
    """How fresh the newest value of an asset is, or that of one partition."""

    asset: str
    """The asset."""
    partition: str | None = None
    """The partition that was asked about; null: the asset as a whole."""
    partition_key: str | None = None
    """The same as machines write it."""
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
        key = None if status.partition is None else encode_partition(status.partition)
        return cls(
            asset=status.asset,
            partition=label(key),
            partition_key=key,
            status=status.status,
            since=status.since,
            within=status.within,
            overdue=status.overdue,
            materialized_at=status.materialized_at,
        )

    def as_record(self) -> FreshnessStatus:
        """What it shows."""
        return FreshnessStatus(
            self.asset,
            partition_of(self.partition_key),
            self.status,
            self.since,
            self.within,
            self.overdue,
            self.materialized_at,
        )
