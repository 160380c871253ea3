"""Hours of real time: a day of a clock change has 23 or 25 of them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Self

from flowstone.assets.exact_dates import is_datetime
from flowstone.assets.local_time import reached, readings, skipped
from flowstone.assets.partition_set import read_encoded
from flowstone.assets.time_partitions import TimePartitions
from flowstone.errors import PartitionError

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator, Sequence

__all__ = ["HourlyPartitions"]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SECOND = timedelta(seconds=1)
_TICK = timedelta.resolution
_HOUR = 3600
_STEP = timedelta(seconds=_HOUR)


class HourlyPartitions(TimePartitions[datetime]):
    """A partition an hour; the key is the aware `datetime`, in UTC, at which it begins.

    A text without an offset is local to the set's zone. In the hour that a clock change repeats it means the
    first of the two, or as the end of `between` the second; write the offset ("2025-10-26T02:00+01:00") to
    mean just the second.

    Args:
        start: ISO text, date or datetime, local to `timezone`: the set begins with the hour that holds it.
        end: The same, inclusive: a day means its last hour. Default: open, so that the last key is the last hour
            that is over.
        timezone: Name of the time zone of the bounds; default "UTC".

    Raises:
        PartitionError: A bound is unreadable, `end` lies before `start`, or there is no such zone.
    """

    __slots__ = ("_phase",)

    unit = "hour"
    coarseness = 0
    _form = "write it as YYYY-MM-DDTHH:00, local to the set, or with an offset"
    _key_words = "an aware datetime at the full hour"

    _phase: int

    def _set_bounds(self, first: datetime, last: datetime | None) -> None:
        begin, skips = self._first_shown(first)
        end = last
        if last is not None and skipped(last.replace(tzinfo=None), self._zone):
            end = self._first_shown(last)[0].astimezone(UTC) - _TICK
            if skips and end < begin and first.replace(tzinfo=None) <= last.replace(tzinfo=None):
                raise PartitionError(
                    f"There is no hour from {_local_text(first)} to {_local_text(last)}: clocks in "
                    f"{self.timezone} skip that, and go on at {_local_text(begin)}."
                )
        super()._set_bounds(begin, end)

    def _first_shown(self, bound: datetime) -> tuple[datetime, bool]:
        """A bound, or the clock change that skips it, and whether one does."""
        wall = bound.replace(tzinfo=None, fold=0)
        if not skipped(wall, self._zone):
            return bound, False
        return reached(wall, self._zone).astimezone(self._zone), True

    def _anchor(self, first: datetime) -> None:
        self._phase = self._offset_phase(first)

    def _offset_phase(self, instant: datetime) -> int:
        offset = instant.astimezone(self._zone).utcoffset()
        assert offset is not None
        return -(offset // _SECOND) % _HOUR

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
        if not is_datetime(key) or key.utcoffset() is None or key.microsecond:
            return None
        number, rest = divmod(_seconds(key) - self._phase, _HOUR)
        return None if rest else number

    def key_of(self, number: int) -> datetime:
        return _EPOCH + timedelta(seconds=number * _HOUR + self._phase)

    def span(self, start: int, stop: int) -> Iterator[datetime]:
        if start >= stop:
            return iter(())
        first = self.key_at(start)
        return map(first.__add__, map(_STEP.__mul__, range(stop - start)))

    def begins(self, number: int) -> datetime:
        return self.key_of(number)

    @property
    def key_type(self) -> Any:
        return datetime

    def _read(self, text: str) -> object:
        return next(iter(self._meant(text)), None)

    def _read_last(self, text: str) -> object:
        return next(reversed(self._meant(text)), None)

    def _meant(self, text: str) -> Sequence[object]:
        """The keys that a text may mean, in order: two for a time that the clock repeats."""
        moment = _parsed(text)
        if moment is None:
            return (read_encoded(text),)
        if moment.utcoffset() is not None:
            return (moment,)
        try:
            shown = readings(moment, self._zone)
        except OverflowError:
            return ()
        # Where a clock change is not of whole hours, or a bound lies inside it, only one of two may be a key.
        keys = [key for key in shown if self.number_of(key) is not None]
        return [key for key in keys if self.position_of(key) is not None] or keys

    def _refusal(self, partition: object) -> PartitionError:
        moment = _parsed(partition) if isinstance(partition, str) else None
        if moment is None or moment.utcoffset() is not None or not skipped(moment, self._zone):
            return super()._refusal(partition)
        shown, _ = self._first_shown(moment)
        return PartitionError(
            f"{partition!r:.200} is not a valid {self.unit} of {self!r}: clocks in {self.timezone} skip it, "
            f"and go on at {_local_text(shown)}."
        )

    def _identity(self) -> Hashable:
        return self._first, self._last, self._phase, self._zone.key

    def _start_text(self) -> str:
        # The hours begin as its offset says, so it is one of the hour that the bound was in: the last moment
        # tells where the clock is changed within the first hour.
        begin = self.key_of(self._first)
        if self._offset_phase(begin) == self._phase:
            return self._bound_text(self._first)
        return _exact_text((begin + _STEP - _SECOND).astimezone(self._zone))

    def _bound_text(self, number: int) -> str:
        return _exact_text(self.key_of(number).astimezone(self._zone))


def _parsed(text: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return None


def _exact_text(moment: datetime) -> str:
    """ISO 8601 without seconds that are zero, in the offset too."""
    return moment.isoformat(timespec="seconds" if moment.second else "minutes")


def _local_text(moment: datetime) -> str:
    return _exact_text(moment.replace(tzinfo=None, microsecond=0))


def _seconds(instant: datetime) -> int:
    """Whole seconds since 1970 of an aware datetime, exactly."""
    return (instant - _EPOCH) // _SECOND
