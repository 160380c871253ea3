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
from datetime import date
from typing import TYPE_CHECKING, ClassVar, Self, TypeVar

from flowstone.assets.partition_set import PartitionSet
from flowstone.assets.time_bounds import read_bound, read_zone
from flowstone.errors import PartitionError

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator
    from datetime import datetime
    from zoneinfo import ZoneInfo

__all__ = ["TimePartitions"]

K = TypeVar("K", bound=date)


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
        try:
            self._set_bounds(
                read_bound(start, self._zone)[0], None if end is None else read_bound(end, self._zone)[1]
            )
        except OverflowError as error:
            raise PartitionError(
                f"{type(self).__name__}: a bound lies outside the years 1 to 9999, here or in UTC."
            ) from error
        if self._last is not None and self._last < self._first:
            raise PartitionError(
                f"{type(self).__name__}: the end {end} lies before the start {start}: swap the two."
            )

    def _set_bounds(self, first: datetime, last: datetime | None) -> None:
        self._anchor(first)
        self._first = self._number_holding(first)
        self._last = None if last is None else self._number_holding(last)
        # Beyond the calendar this overflows here, instead of wherever the key is first looked at.
        self._bound_text(self._first)
        if self._last is not None:
            self._bound_text(self._last)

    # Numbers, keys and instants ----------------------------------------------------------------------------

    def _anchor(self, first: datetime) -> None:
        """Fix what the numbers count from, where that depends on the first bound."""

    def _number_holding(self, local: datetime) -> int:
        """The number of the period that holds a moment of the set's own zone."""
        return self.number_at(local)

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

    def _refusal(self, partition: object) -> PartitionError:
        if isinstance(partition, str) and self.number_of(self._read(partition)) is None:
            return PartitionError(f"{partition!r:.200} is not a valid {self.unit} of {self!r}: {self._form}.")
        if not isinstance(partition, str) and self.number_of(partition) is None:
            known = f"{self._form}, or pass {self._key_words}"
            return PartitionError(f"{partition!r:.200} is not a valid {self.unit} of {self!r}: {known}.")
        return super()._refusal(partition)

    _key_words: ClassVar[str]

    def __repr__(self) -> str:
        end = "" if self._last is None else f", {self._bound_text(self._last)!r}"
        zone = "" if self.timezone == "UTC" else f", timezone={self.timezone!r}"
        return f"{type(self).__name__}({self._start_text()!r}{end}{zone})"

    def _start_text(self) -> str:
        """The first bound, so that a set made from it is equal to this one."""
        return self._bound_text(self._first)

    def _bound_text(self, number: int) -> str:
        return self.key_of(number).isoformat()
