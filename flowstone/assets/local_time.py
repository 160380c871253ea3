"""From what the clocks of a zone show to instants, where they show it twice, once or never.

`datetime.astimezone` answers for a time that a clock change repeats or skips as well, with a guess. These say
which of the three it is. The offsets before and after a change are what PEP 495 gives for the two folds.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

__all__ = ["reached", "readings", "skipped"]

_SECOND = timedelta(seconds=1)


def _offsets(wall: datetime, zone: ZoneInfo) -> tuple[timedelta, timedelta]:
    before = wall.replace(tzinfo=zone, fold=0).utcoffset()
    after = wall.replace(tzinfo=zone, fold=1).utcoffset()
    assert before is not None
    assert after is not None
    return before, after


def skipped(wall: datetime, zone: ZoneInfo) -> bool:
    """Whether the zone's clocks never show a time (naive)."""
    before, after = _offsets(wall, zone)
    return before < after


def readings(wall: datetime, zone: ZoneInfo) -> tuple[datetime, ...]:
    """The instants, in UTC and in order, at which the zone's clocks show a time (naive): none, one or two.

    Raises:
        OverflowError: It lies outside the years 1 to 9999 in UTC.
    """
    before, after = _offsets(wall, zone)
    if before < after:
        return ()
    offsets = (before,) if before == after else (before, after)
    return tuple((wall - offset).replace(tzinfo=UTC, fold=0) for offset in offsets)


def reached(wall: datetime, zone: ZoneInfo) -> datetime:
    """The first instant, in UTC, at which the zone's clocks show a time (naive) or have skipped it.

    Raises:
        OverflowError: It lies outside the years 1 to 9999 in UTC.
    """
    before, after = _offsets(wall, zone)
    if before >= after:
        return (wall - before).replace(tzinfo=UTC, fold=0)
    # The change lies between the readings by the offset after it, which is too early, and by the one before
    # it. `zoneinfo` does not tell where, so halve the seconds between them.
    early, late = (wall - after).replace(microsecond=0), wall - before
    while late - early > _SECOND:
        middle = early + (late - early) // _SECOND // 2 * _SECOND
        shown = middle.replace(tzinfo=UTC).astimezone(zone).replace(tzinfo=None)
        early, late = (early, middle) if shown >= wall else (middle, late)
    return late.replace(tzinfo=UTC, fold=0)
