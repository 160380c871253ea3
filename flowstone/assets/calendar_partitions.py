"""Days, weeks and months: periods that are whole days of a local calendar."""

from __future__ import annotations

from abc import abstractmethod
from datetime import UTC, date, datetime, time
from typing import Any

from flowstone.assets.exact_dates import is_date
from flowstone.assets.local_time import reached
from flowstone.assets.partition_set import read_encoded
from flowstone.assets.time_partitions import TimePartitions

__all__ = ["CalendarPartitions", "DailyPartitions", "MonthlyPartitions", "WeeklyPartitions"]

_EARLIEST, _LATEST = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)


class CalendarPartitions(TimePartitions[date]):
    """Periods that are whole days of a local calendar; the key is the first day."""

    __slots__ = ()

    _key_words = "a date"

    @abstractmethod
    def number_of_day(self, day: date) -> int:
        """The number of the period that holds a day."""

    @abstractmethod
    def key_of(self, number: int) -> date: ...

    def _number_holding(self, local: datetime) -> int:
        # By the date alone: on the first and last days of the calendar there is no instant to compare with.
        return self.number_of_day(local.date())

    def number_of(self, key: object) -> int | None:
        if not is_date(key):
            return None
        number = self.number_of_day(key)
        return number if self.key_of(number) == key else None

    def number_from_day(self, day: date) -> int:
        """The number of the first period that begins on a day or after it."""
        number = self.number_of_day(day)
        return number if self.key_of(number) == day else number + 1

    def begins(self, number: int) -> datetime:
        try:
            # Not simply midnight: some clocks have skipped that, and some from before it.
            return reached(datetime.combine(self.key_of(number), time()), self._zone)
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

    Args:
        start: ISO text, date or datetime, local to `timezone`: the set begins with the day that holds it.
        end: The same, inclusive. Default: open, so that the last key is the last day that is over.
        timezone: Name of the time zone of the bounds and of the days; default "UTC".

    Raises:
        PartitionError: A bound is unreadable, `end` lies before `start`, or there is no such zone.
    """

    __slots__ = ()

    unit = "day"
    coarseness = 1
    _form = "write it as YYYY-MM-DD"

    def number_of_day(self, day: date) -> int:
        return day.toordinal()

    def number_of(self, key: object) -> int | None:
        return key.toordinal() if is_date(key) else None

    def key_of(self, number: int) -> date:
        return date.fromordinal(number)


class WeeklyPartitions(CalendarPartitions):
    """A partition a week; the key is the `date` of its Monday.

    A bound within a week stands for that week. A text may also name the ISO week: "2025-W03".

    Args:
        start: ISO text, date or datetime, local to `timezone`: the set begins with the week that holds it.
        end: The same, inclusive. Default: open, so that the last key is the last week that is over.
        timezone: Name of the time zone of the bounds and of the days; default "UTC".

    Raises:
        PartitionError: A bound is unreadable, `end` lies before `start`, or there is no such zone.
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

    Args:
        start: ISO text, date or datetime, local to `timezone`: the set begins with the month that holds it.
        end: The same, inclusive. Default: open, so that the last key is the last month that is over.
        timezone: Name of the time zone of the bounds and of the days; default "UTC".

    Raises:
        PartitionError: A bound is unreadable, `end` lies before `start`, or there is no such zone.
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
