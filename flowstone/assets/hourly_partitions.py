"""Hours of real time: a day of a clock change has 23 or 25 of them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Self

from flowstone.assets.partition_set import read_encoded
from flowstone.assets.time_partitions import TimePartitions

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator

__all__ = ["HourlyPartitions"]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SECOND = timedelta(seconds=1)
_HOUR = 3600
_STEP = timedelta(seconds=_HOUR)


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
