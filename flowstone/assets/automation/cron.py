"""Cron expressions: which instants one means in a time zone, also when its clocks are changed.

On most days a tick is when the clocks show a time that fits. What a change of the clocks does:

    skipped     A time that is skipped fires at the change, once with all others that are skipped.
    repeated    A time that comes twice fires the first time.
    hourly      An hour whose neighbours fit too, as in `*` or the 2 of `0-6`, goes by real time: what is skipped of
                it does not fire, and what is repeated fires again.

So nothing that is wanted once a day is lost or done twice, and what is wanted each hour is done each real hour.
cronsim reads the fields (`cron_fields.py`). Its own ticks follow Debian's cron, which tells the two apart by a star
in front: `*/15 2 * * *` is lost where 02:00 is skipped, and fires eight times where it comes twice.

Ticks are looked for window by window, away from an instant; windows grow, and leap to the next date that fits.
"""

from __future__ import annotations

from dataclasses import field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Self

from flowstone.assets.arguments import is_instant, is_whole
from flowstone.assets.automation.cron_fields import CronFields, read_fields
from flowstone.assets.exact_dates import REAL
from flowstone.assets.time_bounds import read_zone
from flowstone.errors import ArgumentError, DefinitionError
from flowstone.frozen import frozen

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import date
    from zoneinfo import ZoneInfo

__all__ = ["Cron"]

_SECOND, _HOUR, _DAY = timedelta(seconds=1), timedelta(hours=1), timedelta(days=1)
# Within these years no offset or window leads out of the calendar.
_FIRST, _END = datetime(2, 1, 1, tzinfo=UTC), datetime(9999, 1, 1, tzinfo=UTC)


@frozen
class Cron:
    """A cron expression in a time zone: `Cron.of("0 6 * * *", "Europe/Oslo")`.

    All instants are aware, and those that are given back in UTC. Ticks lie in the years 2 to 9998.

    Attributes:
        text: The expression as it was written.
        timezone: The name of the zone.
    """

    text: str
    timezone: str
    _fields: CronFields = field(repr=False, compare=False)
    _zone: ZoneInfo = field(repr=False, compare=False)

    @classmethod
    def of(cls, text: str, timezone: str = "UTC") -> Self:
        """Read an expression.

        Args:
            text: Five fields (minute, hour, day of the month, month, weekday), or `@hourly`, `@daily`, `@weekly`,
                `@monthly`, `@yearly`. Names (`MON`, `JAN`), `L` and `#` may be used.
            timezone: The name of the zone whose clocks it goes by; default "UTC".

        Raises:
            DefinitionError: It cannot be read, never fires, or there is no such zone.
        """
        if not isinstance(text, str):
            raise DefinitionError(f"cron={text!r:.100} takes a str of five fields, such as '0 6 * * *'.")
        zone = read_zone(timezone, DefinitionError)
        text = " ".join(text.split())
        return cls(text, zone.key, read_fields(text), zone)

    def after(self, instant: datetime) -> datetime:
        """The first tick after an instant.

        Raises:
            ArgumentError: The instant has no time zone, or there is no tick any more before the year 9999.
        """
        begin = min(max(_utc(instant), _FIRST - _SECOND), _END).replace(microsecond=0) + _SECOND
        tick = next(self._forwards(begin), None)
        if tick is None:
            raise ArgumentError(f"{self} has no tick after {instant}: the calendar ends.")
        return tick

    def at_or_before(self, instant: datetime) -> datetime | None:
        """The last tick up to an instant, itself included; None if there is none from the year 2 on.

        Raises:
            ArgumentError: The instant has no time zone.
        """
        end = min(_utc(instant), _END - _SECOND).replace(microsecond=0) + _SECOND
        return next(self._backwards(end), None)

    def between(self, after: datetime, until: datetime, *, limit: int = 1000) -> tuple[list[datetime], bool]:
        """The last ticks after one instant and up to another, in order, and whether there are more before these.

        Only what is given back is looked at, however long the time between the two.

        Args:
            after: The instant after which they are.
            until: The instant of the last one at most; before `after` there are none.
            limit: How many at most.

        Raises:
            ArgumentError: An instant has no time zone, or the limit is no whole number of at least 1.
        """
        if not is_whole(limit, at_least=1):
            raise ArgumentError(f"limit={limit!r:.100} takes a whole number, at least 1.")
        begin = _utc(after)
        end = min(_utc(until), _END - _SECOND).replace(microsecond=0) + _SECOND
        found: list[datetime] = []
        for tick in self._backwards(end):
            if tick <= begin or len(found) > limit:
                break
            found.append(tick)
        return found[:limit][::-1], len(found) > limit

    def __str__(self) -> str:
        return self.text

    def __repr__(self) -> str:
        return f"Cron.of({self.text!r}, {self.timezone!r})"

    # Windows ------------------------------------------------------------------------------------------------

    def _forwards(self, begin: datetime) -> Iterator[datetime]:
        """All ticks from an instant on, in order."""
        width = _HOUR
        while begin < _END:
            end = min(begin + width, _END)
            tick = None
            for tick in self._within(begin, end):
                yield tick
            begin, width = end, min(2 * width, _DAY)
            if tick is None:
                # A tick is less than a day from the time that clocks in UTC would show it.
                days = range((begin - _DAY).toordinal(), _END.toordinal() + 1)
                day = self._fields.first_date(days)
                if day is None:
                    return
                begin = max(begin, _midnight(day) - _DAY)

    def _backwards(self, end: datetime) -> Iterator[datetime]:
        """All ticks before an instant, the last one first."""
        width = _HOUR
        while end > _FIRST:
            begin = max(end - width, _FIRST)
            ticks = list(self._within(begin, end))
            yield from reversed(ticks)
            end, width = begin, min(2 * width, _DAY)
            if not ticks:
                days = range((end + _DAY).toordinal(), _FIRST.toordinal() - 2, -1)
                day = self._fields.first_date(days)
                if day is None:
                    return
                end = min(end, _midnight(day) + 2 * _DAY)

    def _within(self, begin: datetime, end: datetime) -> Iterator[datetime]:
        """The ticks from an instant up to before another, at most a day later; both of full seconds."""
        offset = self._offset(begin - _SECOND)
        while begin < end:
            changed, change = self._offset(begin), self._change(begin, end)
            skips = changed > offset and self._skips(begin, offset, changed)
            if skips:
                yield begin
            yield from (tick for tick in self._shown(begin, change, changed) if not skips or tick != begin)
            begin, offset = change, changed

    def _offset(self, instant: datetime) -> timedelta:
        offset = instant.astimezone(self._zone).utcoffset()
        assert offset is not None
        return offset

    def _change(self, begin: datetime, end: datetime) -> datetime:
        """The first instant after `begin` with another offset, or the end."""
        offset, last = self._offset(begin), end - _SECOND
        if last <= begin or self._offset(last) == offset:
            return end
        early, late = begin, last
        while late - early > _SECOND:
            middle = early + (late - early) // _SECOND // 2 * _SECOND
            early, late = (middle, late) if self._offset(middle) == offset else (early, middle)
        return late

    def _skips(self, change: datetime, before: timedelta, after: timedelta) -> bool:
        """Whether a change of the clocks skips a time that fires then."""
        skipped = self._fields.times(_wall(change, before), _wall(change, after))
        return any(shown.hour not in self._fields.hourly for shown in skipped)

    def _shown(self, begin: datetime, end: datetime, offset: timedelta) -> Iterator[datetime]:
        """When clocks show times that fit, while they have one offset; no second time but in hourly ones."""
        repeated = begin.astimezone(self._zone).fold
        for shown in self._fields.times(_wall(begin, offset), _wall(end, offset)):
            tick = shown.replace(tzinfo=UTC) - offset
            again = repeated and tick.astimezone(self._zone).fold
            if not again or shown.hour in self._fields.hourly:
                yield tick


def _wall(instant: datetime, offset: timedelta) -> datetime:
    return (instant + offset).replace(tzinfo=None)


def _midnight(day: date) -> datetime:
    return REAL.datetime(day.year, day.month, day.day, tzinfo=UTC)


def _utc(instant: Any) -> datetime:
    """The instant in UTC; at the ends of the calendar the nearest one there is.

    It is of the real class: that of freezegun, whose time a test has frozen, forgets which of two hours it is in.
    """
    if not is_instant(instant):
        raise ArgumentError(f"{instant!r:.100} is no aware datetime: add a time zone, such as datetime.UTC.")
    try:
        utc = instant.astimezone(UTC)
    except OverflowError:
        return _FIRST - _DAY if instant.year == 1 else _END + _DAY
    return REAL.datetime.combine(utc.date(), utc.time(), UTC)
