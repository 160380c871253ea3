"""When an asset was computed last, and how long that took lately."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flowstone.frozen import frozen
from flowstone.runs.records import Status

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from flowstone.runs.records import Materialization

__all__ = ["AssetActivity", "activity_of"]


@frozen
class AssetActivity:
    """The last attempts of an asset, at whatever partition.

    Attributes:
        asset: The asset's name.
        finished_at: When the last of them ended (aware, UTC).
        durations: Seconds that each of them took that was not cancelled, the oldest first.
    """

    asset: str
    finished_at: datetime
    durations: tuple[float, ...]


def activity_of(asset: str, newest: Iterable[Materialization]) -> AssetActivity | None:
    """What these records say, the newest first; None if none of them was an attempt."""
    ran = [record for record in newest if record.started_at is not None and record.finished_at is not None]
    if not ran:
        return None
    last = ran[0].finished_at
    assert last is not None
    whole = [record for record in reversed(ran) if record.status is not Status.CANCELLED]
    return AssetActivity(asset, last, tuple(record.duration or 0.0 for record in whole))
