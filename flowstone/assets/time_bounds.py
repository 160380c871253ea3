"""Reads the bounds and the time zone of a time set.

A bound names a stretch of local time: "2025" the year, "2025-03" the month, "2025-03-30" the day, a time of
day the instant. A set begins with the period that holds the start of its first bound and ends with the period
that holds the last moment of its last one; so `HourlyPartitions("2025-03-30", "2025-03-30")` is all hours of
the day.
"""

from __future__ import annotations

import re
import zoneinfo
from datetime import UTC, date, datetime, time, timedelta

from flowstone.assets.suggest import suggest
from flowstone.errors import FlowstoneError, PartitionError

__all__ = ["read_bound", "read_zone"]

_YEAR_OR_MONTH = re.compile(r"([0-9]{4})(?:-([0-9]{2}))?")


def read_zone(zone: object, refusal: type[FlowstoneError] = PartitionError) -> zoneinfo.ZoneInfo:
    """The time zone of a name such as "Europe/Berlin", of a `ZoneInfo`, or of `datetime.UTC`.

    Raises:
        FlowstoneError: There is no such zone; it is of the class `refusal`.
    """
    if isinstance(zone, zoneinfo.ZoneInfo) and zone.key:
        return zone
    name = "UTC" if zone is UTC else zone
    if not isinstance(name, str):
        raise refusal(
            f"timezone={zone!r:.100} is not the name of a time zone: write it like 'Europe/Berlin'."
        )
    try:
        return zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        raise refusal(f"There is no time zone {name!r:.100}.{_hint(name)}") from None


def _hint(name: str) -> str:
    """What to write instead of a name that no zone has; "oslo" means Europe/Oslo."""
    names = sorted(zoneinfo.available_timezones())
    cities = {known.rpartition("/")[2]: known for known in names}
    nearest = suggest(name, names) or cities.get(suggest(name.replace(" ", "_"), cities) or "")
    return f" Did you mean {nearest!r}?" if nearest else " Write it like 'Europe/Berlin'."


def read_bound(bound: object, zone: zoneinfo.ZoneInfo) -> tuple[datetime, datetime]:
    """The first and the last moment that a bound names, aware and in the zone.

    A time without an offset in the hour that a clock change repeats names both hours: the first moment is in
    the earlier one, the last in the later one.

    Raises:
        PartitionError: The bound is of another type, or an unreadable text.
    """
    if isinstance(bound, str):
        bound = _parsed(bound)
    if isinstance(bound, tuple):
        first, last = bound
    elif isinstance(bound, datetime):
        first = last = bound
    elif isinstance(bound, date):
        first, last = bound, bound
    else:
        raise PartitionError(f"A bound is an ISO text, a date or a datetime, not {bound!r:.200}.")
    return _moment(first, time.min, 0, zone), _moment(last, time.max, 1, zone)


def _moment(point: date, of_day: time, fold: int, zone: zoneinfo.ZoneInfo) -> datetime:
    if not isinstance(point, datetime):
        point = datetime.combine(point, of_day)
    if point.utcoffset() is None:
        return point.replace(tzinfo=zone, fold=fold)
    try:
        return point.astimezone(zone)
    except OverflowError as error:
        raise PartitionError(f"{point!r} is outside the years 1 to 9999 in {zone.key}.") from error


def _parsed(text: str) -> date | tuple[date, date]:
    try:
        if found := _YEAR_OR_MONTH.fullmatch(text):
            year, month = int(found[1]), found[2]
            return date(year, int(month or 1), 1), _month_end(year, int(month or 12))
        try:
            return date.fromisoformat(text)
        except ValueError:
            return datetime.fromisoformat(text)
    except ValueError as error:
        raise PartitionError(
            f"{text!r:.200} is not an ISO date or time: write it like '2025-01-15' or '2025-01-15T08:00'."
        ) from error


def _month_end(year: int, month: int) -> date:
    if (year, month) == (9999, 12):
        return date.max
    return date(year + month // 12, month % 12 + 1, 1) - timedelta(days=1)
