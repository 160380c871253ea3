"""The key some time before or after: yesterday's value as today's input."""

from __future__ import annotations

from calendar import monthrange
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

from flowstone.assets.arguments import is_whole
from flowstone.assets.hourly_partitions import HourlyPartitions
from flowstone.assets.local_time import readings
from flowstone.assets.mapping_rules import relation, time_dimension
from flowstone.assets.multi_partitions import MultiPartitions
from flowstone.assets.partition_mapping import Declared, PartitionMapping, Set
from flowstone.assets.time_partitions import TimePartitions
from flowstone.errors import DefinitionError, PartitionError
from flowstone.frozen import frozen

if TYPE_CHECKING:
    from collections.abc import Sequence
    from zoneinfo import ZoneInfo

    from flowstone.assets.partition_set import PartitionSet

__all__ = ["Shifted", "TimeOffset"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeOffset(Declared):
    """The key that lies so much later, or earlier where the numbers are negative: `TimeOffset(days=-1)`.

    The shifted key then leads to the upstream by the default rules, so a monthly upstream of a daily asset
    gives the month that contains the shifted day. Months, weeks and days move the local calendar (31 March
    minus a month is 28 February, an hour keeps its time of day across a clock change); hours are real time.
    An hourly key is the hour that holds the shifted instant, also where a clock change is not of whole hours.
    In a multi-dimensional key the one time dimension is shifted.

    Args:
        months: Calendar months; for every time set but a weekly one.
        weeks: Weeks; for every time set but a monthly one.
        days: Days; for daily and hourly sets, and in whole weeks for a weekly one.
        hours: Hours; for hourly sets.

    Raises:
        DefinitionError: A number is not whole, or none is given.
    """

    months: int = 0
    weeks: int = 0
    days: int = 0
    hours: int = 0

    def __post_init__(self) -> None:
        numbers = {"months": self.months, "weeks": self.weeks, "days": self.days, "hours": self.hours}
        for unit, number in numbers.items():
            if not is_whole(number):
                raise DefinitionError(f"TimeOffset({unit}={number!r}) takes whole numbers.")
        if not any(numbers.values()):
            raise DefinitionError("TimeOffset() shifts by nothing: say how far, as in TimeOffset(days=-1).")

    def bind(self, upstream: Set, downstream: Set, /) -> PartitionMapping:
        if upstream is None or downstream is None:
            raise PartitionError("TimeOffset() needs partitions on both assets")
        place = time_dimension(downstream) if isinstance(downstream, MultiPartitions) else None
        shifted = downstream if place is None else downstream.sets[place]  # type: ignore[attr-defined] # `place` says multi
        if not isinstance(shifted, TimePartitions):
            raise PartitionError("TimeOffset() needs an asset that is partitioned by time")
        self._check_unit(shifted)
        return Shifted(self, place, relation(upstream, downstream))

    def _check_unit(self, keys: TimePartitions[Any]) -> None:
        wrong = {
            "hour": False,
            "day": bool(self.hours),
            "week": bool(self.hours or self.months or self.days % 7),
            "month": bool(self.hours or self.days or self.weeks),
        }
        if wrong[keys.unit]:
            raise PartitionError(f"{self!r} does not lead from one {keys.unit} to another")

    def shift(self, key: Any, keys: PartitionSet[Any]) -> Any:
        """The key so much later, in the set or not.

        Raises:
            OverflowError: It would lie outside the years 1 to 9999.
        """
        if not isinstance(keys, HourlyPartitions):
            return self._shift_date(key)
        return keys.key_of(keys.number_at(self._shift_instant(key, keys.zone)))

    @property
    def looks_back(self) -> bool:
        """Whether it leads to earlier keys alone: only so may an asset depend on itself."""
        return max(self.months, self.weeks, self.days, self.hours) <= 0

    def stride(self, keys: PartitionSet[Any] | None) -> int | None:
        """How many keys of a set lie between a key and the shifted one, where that is always the same number."""
        if not isinstance(keys, TimePartitions):
            return None
        days = -(self.days + 7 * self.weeks)
        match keys.unit:
            case "month":
                return -self.months
            case "week":
                return days // 7
            case "day":
                return None if self.months else days
            case _:  # Days of an hourly set may have 23 hours.
                return None if self.months or days else -self.hours

    def _shift_instant(self, instant: datetime, zone: ZoneInfo) -> datetime:
        local = instant.astimezone(zone)
        day = self._shift_date(local.date())
        if day == local.date():
            return instant + timedelta(hours=self.hours)
        wall = datetime.combine(day, local.time())
        if shown := readings(wall, zone):
            return shown[-1 if local.fold else 0] + timedelta(hours=self.hours)
        # A time that the clock skips is as long after the change as it would have been without it. Where a
        # whole day is skipped this may be the very hour that is shifted: then a day back is before the change.
        moved = wall.replace(tzinfo=zone, fold=0).astimezone(UTC)
        if day < local.date() and moved >= instant:
            moved = wall.replace(tzinfo=zone, fold=1).astimezone(UTC)
        return moved + timedelta(hours=self.hours)

    def _shift_date(self, day: date) -> date:
        if self.months:
            year, month = divmod(day.year * 12 + day.month - 1 + self.months, 12)
            if not date.min.year <= year <= date.max.year:
                raise OverflowError(year)
            day = date(year, month + 1, min(day.day, monthrange(year, month + 1)[1]))
        return day + timedelta(days=self.days, weeks=self.weeks)

    def __repr__(self) -> str:
        numbers = {"months": self.months, "weeks": self.weeks, "days": self.days, "hours": self.hours}
        return f"TimeOffset({', '.join(f'{unit}={number}' for unit, number in numbers.items() if number)})"


@frozen
class Shifted(PartitionMapping):
    """What `TimeOffset` is between two sets.

    Args:
        offset: How far the key is moved.
        position: Which dimension of the key is moved; None for a key of one dimension.
        mapping: What leads from the moved key to the upstream.
    """

    offset: TimeOffset
    position: int | None
    mapping: PartitionMapping

    @property
    def many(self) -> bool | None:
        return self.mapping.many

    def upstream_keys(self, key: Any, upstream: Set, downstream: Set, /) -> Sequence[Any]:
        assert downstream is not None
        try:
            return self.mapping.upstream_keys(self._moved(key, downstream), upstream, downstream)
        except OverflowError:
            return ()

    def _moved(self, key: Any, downstream: PartitionSet[Any]) -> Any:
        if self.position is None:
            return self.offset.shift(key, downstream)
        assert isinstance(downstream, MultiPartitions)
        moved = self.offset.shift(key[self.position], downstream.sets[self.position])
        return (*key[: self.position], moved, *key[self.position + 1 :])
