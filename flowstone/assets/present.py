"""The one place in this layer that reads the clock.

Only for convenience outside a run, so that `len(DailyPartitions("2025-01-01"))` means something. A run never
comes here: it closes every open-ended set at one instant of its own (`PartitionView`).
"""

from __future__ import annotations

from datetime import UTC, datetime

__all__ = ["utc_now"]


def utc_now() -> datetime:
    """This instant, aware and in UTC."""
    return datetime.now(UTC)
