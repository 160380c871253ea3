"""When a cron fires, found by watching the clock: every real minute is looked at, and compared with each field.

Nothing here is shared with what is tested: fields are read by hand, and a clock change is seen by what clocks show.
"""

from __future__ import annotations

import calendar
from datetime import UTC, date, datetime, timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo

MINUTE = timedelta(minutes=1)
BOUNDS = ((0, 59), (0, 23), (1, 31), (1, 12), (0, 7))
NAMES = {"MON": "1", "SUN": "0", "FRI": "5", "MAR": "3", "OCT": "10"}


class Shown(NamedTuple):
    """A real minute: what clocks show when it begins, whether they showed that before, and what they skipped."""

    at: datetime
    wall: datetime
    again: bool
    skipped: tuple[datetime, ...]


def watch(zone: str, begin: datetime, end: datetime) -> list[Shown]:
    """Each minute after one instant and up to another; whoever wants to know what is repeated begins early."""
    clock, minutes, seen = ZoneInfo(zone), [], set()
    before = begin.astimezone(clock).replace(tzinfo=None, fold=0)
    for number in range(1, (end - begin) // MINUTE + 1):
        at = begin + number * MINUTE
        wall = at.astimezone(clock).replace(tzinfo=None, fold=0)
        skipped = tuple(before + each * MINUTE for each in range(1, (wall - before) // MINUTE))
        minutes.append(Shown(at, wall, wall in seen, skipped))
        seen.add(wall)
        before = wall
    return minutes


def values(text: str, bounds: tuple[int, int]) -> set[int]:
    """The numbers that a field lists."""
    found: set[int] = set()
    for part in text.split(","):
        span, _, step = part.partition("/")
        low, _, high = (f"{bounds[0]}-{bounds[1]}" if span == "*" else span).partition("-")
        top = int(high) if high else bounds[1] if step else int(low)
        found |= set(range(int(low), top + 1, int(step or 1)))
    return found


class Fields:
    """The fields of a cron, each compared with what clocks show."""

    def __init__(self, text: str) -> None:
        for name, number in NAMES.items():
            text = text.replace(name, number)
        minute, hour, self.day, month, self.weekday = text.split()
        self.minutes, self.hours = values(minute, BOUNDS[0]), values(hour, BOUNDS[1])
        self.months = values(month, BOUNDS[3])
        self.days: dict[date, bool] = {}

    def day_fits(self, wall: datetime) -> bool:
        """The day of the month or, where both are given, the weekday."""
        length = calendar.monthrange(wall.year, wall.month)[1]
        by_day = wall.day == length if self.day == "L" else wall.day in values(self.day, BOUNDS[2])
        weekday, _, nth = self.weekday.partition("#")
        if weekday.endswith("L"):
            by_weekday = wall.isoweekday() % 7 == int(weekday[0]) and wall.day > length - 7
        else:
            by_weekday = bool(values(weekday, BOUNDS[4]) & {wall.isoweekday(), wall.isoweekday() % 7})
            by_weekday = by_weekday and (not nth or (wall.day - 1) // 7 == int(nth) - 1)
        either = not (self.day.startswith("*") or self.weekday.startswith("*"))
        return by_day or by_weekday if either else by_day and by_weekday

    def fit(self, wall: datetime) -> bool:
        if wall.minute not in self.minutes or wall.hour not in self.hours:
            return False
        day = wall.date()
        if day not in self.days:
            self.days[day] = wall.month in self.months and self.day_fits(wall)
        return self.days[day]

    def hourly(self, wall: datetime) -> bool:
        return all((wall.hour + step) % 24 in self.hours for step in (-1, 0, 1))


def ticks(text: str, minutes: list[Shown]) -> list[datetime]:
    """The minutes in which a cron fires: it shows a time that fits, or has just skipped one."""
    fields = Fields(text)
    return [
        minute.at
        for minute in minutes
        if (fields.fit(minute.wall) and (not minute.again or fields.hourly(minute.wall)))
        or any(fields.fit(wall) and not fields.hourly(wall) for wall in minute.skipped)
    ]


def changes(zone: str, first: int, last: int) -> list[datetime]:
    """The instants from one year up to before another at which the offset of a zone changes, to the minute."""
    clock, found, step = ZoneInfo(zone), [], timedelta(days=3)
    at, end = datetime(first, 1, 1, tzinfo=UTC), datetime(last, 1, 1, tzinfo=UTC)
    while at < end:
        offset = at.astimezone(clock).utcoffset()
        if (at + step).astimezone(clock).utcoffset() != offset:
            early, late = at, at + step
            while late - early > MINUTE:
                middle = early + (late - early) // MINUTE // 2 * MINUTE
                same = middle.astimezone(clock).utcoffset() == offset
                early, late = (middle, late) if same else (early, middle)
            found.append(late)
        at += step
    return found
