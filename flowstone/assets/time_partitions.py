"""Partitions by time: hours, days, weeks and months in a time zone.

A period has a number, counted from a fixed origin, so everything is arithmetic on integers: a set is a first
and a last number, and a key is a number written as a date or an instant. `None` as the last number is an open
end: the set goes through the last period that is complete when you ask.

    class     key                            number
    Hourly    aware datetime in UTC          hours since 1970, shifted to begin when the local hours do
    Daily     date                           date.toordinal()
    Weekly    date, the Monday               weeks since 0001-01-01, which was a Monday
    Monthly   date, the first of the month   months since year 0

An hour is 3,600 seconds of real time, so a day of a clock change has 23 or 25 of them, and in a zone whose
offset is not whole hours they begin at the zone's full hours. The other periods are calendar stretches of
the zone; they begin when the local calendar turns to their first day.
"""

from __future__ import annotations

from abc import abstractmethod
from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING, Any, ClassVar, Self, TypeVar

from flowstone.assets.partition_set import PartitionSet, read_encoded
from flowstone.assets.time_bounds import read_bound, read_zone
from flowstone.errors import PartitionError

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator
    from zoneinfo import ZoneInfo

__all__ = [
    "CalendarPartitions",
    "DailyPartitions",
    "HourlyPartitions",
    "MonthlyPartitions",
    "TimePartitions",
    "WeeklyPartitions",
]

K = TypeVar("K", bound=date)

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_EARLIEST, _LATEST = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)
_SECOND = timedelta(seconds=1)
_HOUR = 3600
_DAY = timedelta(days=1)


class TimePartitions(PartitionSet[K]):
    """What the four sets share.

    Args:
        start: ISO text, date or datetime, local to `timezone`; the set begins with the period that holds it.
        end: The same; the set ends with the period that holds the last moment it names. None (default): the
            end is open, and the last key is that of the last complete period.
        timezone: Name of the zone that the calendar and the bounds are in; default "UTC".

    Raises:
        PartitionError: A bound is unreadable, `end` lies before `start`, or there is no such zone.
    """

    __slots__ = ("_first", "_last", "_zone")

    unit: ClassVar[str]
    coarseness: ClassVar[int]
    _form: ClassVar[str]

    def __init__(
        self, start: str | date, end: str | date | None = None, timezone: str | ZoneInfo = "UTC"
    ) -> None:
        self._zone = read_zone(timezone)
        self._anchor(read_bound(start, self._zone)[0])
        self._first = self.number_at(read_bound(start, self._zone)[0])
        self._last = None if end is None else self.number_at(read_bound(end, self._zone)[1])
        if self._last is not None and self._last < self._first:
            raise PartitionError(
                f"{type(self).__name__}: the end {end} lies before the start {start}: swap the two."
            )

    # Numbers, keys and instants ----------------------------------------------------------------------------

    def _anchor(self, first: datetime) -> None:
        """Fix what the numbers count from, where that depends on the first bound."""

    @abstractmethod
    def number_at(self, instant: datetime) -> int:
        """The number of the period that holds an instant (aware)."""

    @abstractmethod
    def number_of(self, key: object) -> int | None:
        """The number of a key, in the set or not; None for anything that is no key of this kind."""

    @abstractmethod
    def key_of(self, number: int) -> K:
        """The key of a period. Raises `OverflowError` or `ValueError` beyond the years 1 to 9999."""

    @abstractmethod
    def begins(self, number: int) -> datetime:
        """The instant, in UTC, at which a period begins."""

    def number_from(self, instant: datetime) -> int:
        """The number of the first period that begins at an instant (aware) or after it."""
        number = self.number_at(instant)
        return number if self.begins(number) == instant else number + 1

    @property
    def timezone(self) -> str:
        """The name of the zone."""
        return self._zone.key

    @property
    def zone(self) -> ZoneInfo:
        """The zone itself."""
        return self._zone

    @property
    def start(self) -> K:
        """The first key."""
        return self.key_of(self._first)

    @property
    def end(self) -> K | None:
        """The last key; None while the end is open."""
        return None if self._last is None else self.key_of(self._last)

    def numbered(self, first: int, last: int) -> tuple[int, int]:
        """The positions (start, stop) in this closed set of the periods numbered `first` to `last`."""
        assert self._last is not None
        start = max(first, self._first)
        return start - self._first, max(start, min(last, self._last) + 1) - self._first

    # A closed set as a sequence ----------------------------------------------------------------------------

    @property
    def is_open(self) -> bool:
        return self._last is None

    def as_of(self, now: datetime) -> Self:
        if self._last is not None:
            return self
        if now.utcoffset() is None:
            raise PartitionError(
                f"as_of({now!r}) takes an aware datetime: add a time zone, such as datetime.UTC."
            )
        closed = self._copy()
        # One less than the first number is the set without keys: before the first period is complete.
        closed._last = max(self._first - 1, self.number_at(now) - 1)
        return closed

    def _copy(self) -> Self:
        copy = object.__new__(type(self))
        copy._zone, copy._first, copy._last = self._zone, self._first, self._last
        return copy

    @property
    def size(self) -> int:
        assert self._last is not None
        return self._last - self._first + 1

    def key_at(self, position: int) -> K:
        return self.key_of(self._first + position)

    def position_of(self, key: object) -> int | None:
        number = self.number_of(key)
        assert self._last is not None
        return None if number is None or not self._first <= number <= self._last else number - self._first

    def span(self, start: int, stop: int) -> Iterator[K]:
        return map(self.key_of, range(self._first + start, self._first + stop))

    def _identity(self) -> Hashable:
        return self._first, self._last, self._zone.key

    # Errors ------------------------------------------------------------------------------------------------

    def _refusal(self, partition: object) -> str:
        if isinstance(partition, str) and self.number_of(self._read(partition)) is None:
            return f"{partition!r:.200} is no {self.unit} of {self!r}: {self._form}."
        if not isinstance(partition, str) and self.number_of(partition) is None:
            return (
                f"{partition!r:.200} is no {self.unit} of {self!r}: {self._form}, or pass {self._key_words}."
            )
        return super()._refusal(partition)

    _key_words: ClassVar[str]

    def __repr__(self) -> str:
        end = "" if self._last is None else f", {self._bound_text(self._last)!r}"
        zone = "" if self.timezone == "UTC" else f", timezone={self.timezone!r}"
        return f"{type(self).__name__}({self._bound_text(self._first)!r}{end}{zone})"

    def _bound_text(self, number: int) -> str:
        return self.key_of(number).isoformat()


class CalendarPartitions(TimePartitions[date]):
    """Periods that are whole days of a local calendar; the key is the first day."""

    __slots__ = ()

    _key_words = "a date"

    @abstractmethod
    def number_of_day(self, day: date) -> int:
        """The number of the period that holds a day."""

    @abstractmethod
    def key_of(self, number: int) -> date: ...

    def number_of(self, key: object) -> int | None:
        if type(key) is not date:
            return None
        number = self.number_of_day(key)
        return number if self.key_of(number) == key else None

    def number_from_day(self, day: date) -> int:
        """The number of the first period that begins on a day or after it."""
        number = self.number_of_day(day)
        return number if self.key_of(number) == day else number + 1

    def begins(self, number: int) -> datetime:
        try:
            return datetime.combine(self.key_of(number), time(), self._zone).astimezone(UTC)
        except (OverflowError, ValueError):  # After the last day there is, or before the first.
            return _LATEST if number > self._first else _EARLIEST

    def number_at(self, instant: datetime) -> int:
        number = self.number_of_day(instant.astimezone(self._zone).date())
        # A clock that is set back across midnight shows the old date again; the period stays begun.
        return number + 1 if self.begins(number + 1) <= instant else number

    @property
    def key_type(self) -> Any:
        return date

    def _read(self, text: str) -> object:
        try:
            return date.fromisoformat(text)
        except ValueError:
            return read_encoded(text)


class DailyPartitions(CalendarPartitions):
    """A partition a day; the key is the `date`.

    `DailyPartitions("2025-01-01")` goes through yesterday, `DailyPartitions("2025-01-01", "2025-12-31")` is a
    year.
    """

    __slots__ = ()

    unit = "day"
    coarseness = 1
    _form = "write it as YYYY-MM-DD"

    def number_of_day(self, day: date) -> int:
        return day.toordinal()

    def number_of(self, key: object) -> int | None:
        return key.toordinal() if type(key) is date else None

    def key_of(self, number: int) -> date:
        return date.fromordinal(number)


class WeeklyPartitions(CalendarPartitions):
    """A partition a week; the key is the `date` of its Monday.

    A bound within a week stands for that week. A text may also name the ISO week: "2025-W03".
    """

    __slots__ = ()

    unit = "week"
    coarseness = 2
    _form = "write the Monday as YYYY-MM-DD, or the ISO week as 2025-W03"
    _key_words = "the date of a Monday"

    def number_of_day(self, day: date) -> int:
        return (day.toordinal() - 1) // 7

    def key_of(self, number: int) -> date:
        return date.fromordinal(number * 7 + 1)


class MonthlyPartitions(CalendarPartitions):
    """A partition a month; the key is the `date` of its first day.

    A bound within a month stands for that month. A text may also name the month: "2025-03".
    """

    __slots__ = ()

    unit = "month"
    coarseness = 3
    _form = "write it as YYYY-MM, or its first day as YYYY-MM-DD"
    _key_words = "the date of a first of the month"

    def number_of_day(self, day: date) -> int:
        return day.year * 12 + day.month - 1

    def key_of(self, number: int) -> date:
        return date(number // 12, number % 12 + 1, 1)

    def _read(self, text: str) -> object:
        return super()._read(f"{text}-01" if len(text) == 7 and text[4] == "-" else text)


class HourlyPartitions(TimePartitions[datetime]):
    """A partition an hour; the key is the aware `datetime`, in UTC, at which it begins.

    A text without an offset is local to the set's zone. In the hour that a clock change repeats it means the
    first of the two; write the offset ("2025-10-26T02:00+01:00") to mean the second.
    """

    __slots__ = ("_phase",)

    unit = "hour"
    coarseness = 0
    _form = "write it as YYYY-MM-DDTHH:00, local to the set, or with an offset"
    _key_words = "an aware datetime at the full hour"

    _phase: int

    def _anchor(self, first: datetime) -> None:
        self._phase = _seconds(first.replace(minute=0, second=0, microsecond=0)) % _HOUR

    def _copy(self) -> Self:
        copy = super()._copy()
        copy._phase = self._phase
        return copy

    @property
    def phase(self) -> int:
        """Seconds after a full hour of UTC at which the periods begin."""
        return self._phase

    def number_at(self, instant: datetime) -> int:
        return (_seconds(instant) - self._phase) // _HOUR

    def number_of(self, key: object) -> int | None:
        if type(key) is not datetime or key.utcoffset() is None or key.microsecond:
            return None
        number, rest = divmod(_seconds(key) - self._phase, _HOUR)
        return None if rest else number

    def key_of(self, number: int) -> datetime:
        return _EPOCH + timedelta(seconds=number * _HOUR + self._phase)

    def begins(self, number: int) -> datetime:
        return self.key_of(number)

    @property
    def key_type(self) -> Any:
        return datetime

    def _read(self, text: str) -> object:
        try:
            moment = datetime.fromisoformat(text)
        except ValueError:
            return read_encoded(text)
        if moment.utcoffset() is not None:
            return moment
        local = moment.replace(tzinfo=self._zone)
        # A time that the clock skips names no hour, so it must not become its neighbour.
        there_and_back = local.astimezone(UTC).astimezone(self._zone).replace(tzinfo=None)
        return local if there_and_back == moment else None

    def _identity(self) -> Hashable:
        return self._first, self._last, self._phase, self._zone.key

    def _bound_text(self, number: int) -> str:
        return self.key_of(number).astimezone(self._zone).isoformat(timespec="minutes")


def _seconds(instant: datetime) -> int:
    """Whole seconds since 1970 of an aware datetime, exactly."""
    return (instant - _EPOCH) // _SECOND
