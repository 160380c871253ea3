"""The mappings a user writes: `mappings={"raw": Rollup()}`.

Each says what is meant; binding it to the sets of the two assets (`partition_mapping`) works out how, with
the default rules (`mapping_rules`) for everything the user did not say.
"""

from __future__ import annotations

from calendar import monthrange
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

from flowstone.assets.arguments import is_whole
from flowstone.assets.key_slice import KeySlice
from flowstone.assets.mapping_rules import default_mapping, matching_dimension, relation
from flowstone.assets.multi_partitions import MultiPartitions
from flowstone.assets.partition_mapping import (
    Aligned,
    AllPartitions,
    InnerKeys,
    OnePart,
    PartitionMapping,
    Set,
    containing_number,
    inner_numbers,
)
from flowstone.assets.time_partitions import (
    HourlyPartitions,
    TimePartitions,
)
from flowstone.errors import DefinitionError, PartitionError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flowstone.assets.partition_set import PartitionSet

__all__ = ["LastPartitions", "Rollup", "SamePart", "TimeOffset"]


class _Declared(PartitionMapping):
    """A mapping that means nothing before it is bound."""

    __slots__ = ()

    def upstream_keys(self, key: Any, upstream: Set, downstream: Set, /) -> Sequence[Any]:
        return self.bind(upstream, downstream).upstream_keys(key, upstream, downstream)


@dataclass(frozen=True, slots=True)
class Rollup(_Declared):
    """The finer upstream keys inside this one, such as all days of a month; a `dict[key, value]`.

    A period belongs to the one in which it begins, so a week belongs to the month of its Monday. Hours are
    placed by their instant in the zone of the coarser set, dates by the calendar alone, even if the two sets
    are in different zones. For multi-dimensional sets it is the default rules.
    """

    @property
    def many(self) -> bool | None:
        return True

    def bind(self, upstream: Set, downstream: Set, /) -> PartitionMapping:
        if isinstance(upstream, TimePartitions) and isinstance(downstream, TimePartitions):
            if upstream.coarseness < downstream.coarseness:
                return InnerKeys()
            raise PartitionError(f"Rollup() needs a finer upstream than one {downstream.unit}")
        bound = default_mapping(upstream, downstream)
        if bound.many is not True:
            raise PartitionError("Rollup() needs an upstream with several keys for each of this asset's")
        return bound


@dataclass(frozen=True, slots=True)
class SamePart(_Declared):
    """One part of a multi-dimensional key, named by its dimension.

    From a multi-dimensional asset to a single upstream: that part of the key. To a multi-dimensional
    upstream: every combination that has the key (or that part of it) there, as `dict[key, value]`.

    Args:
        dimension: The name of the dimension.
    """

    dimension: str

    def bind(self, upstream: Set, downstream: Set, /) -> PartitionMapping:
        inside = self._position(downstream)
        if isinstance(upstream, MultiPartitions) and (place := self._position(upstream)) is not None:
            if downstream is None or (inside is None and isinstance(downstream, MultiPartitions)):
                raise PartitionError(f"this asset has no dimension {self.dimension!r}")
            part = downstream.sets[inside] if inside is not None else downstream  # type: ignore[attr-defined] # `inside` says multi
            parts: list[tuple[int | None, PartitionMapping]] = [
                (None, AllPartitions()) for _ in upstream.names
            ]
            parts[place] = inside, relation(upstream.sets[place], part)
            return Aligned(tuple(parts))
        if inside is None or upstream is None:
            raise PartitionError(
                f"neither asset has a dimension {self.dimension!r} to take from the other's key"
            )
        assert isinstance(downstream, MultiPartitions)
        return OnePart(inside, relation(upstream, downstream.sets[inside]))

    def _position(self, keys: Set) -> int | None:
        if isinstance(keys, MultiPartitions) and self.dimension in keys.names:
            return keys.names.index(self.dimension)
        return None


@dataclass(frozen=True, slots=True)
class LastPartitions(_Declared):
    """The last `count` keys of the upstream, as `dict[key, value]`.

    Between two time sets they are the last ones up to this key, so that a backfill of the past sees what was
    last then: a rolling window. Otherwise they are the last of the set as of the run.

    Args:
        count: How many, at least 1; fewer at the beginning of the set.

    Raises:
        DefinitionError: `count` is no whole number of at least 1.
    """

    count: int = 1

    def __post_init__(self) -> None:
        if not is_whole(self.count, at_least=1):
            raise DefinitionError(f"LastPartitions({self.count!r}) takes a number of keys, at least 1.")

    @property
    def many(self) -> bool | None:
        return True

    def bind(self, upstream: Set, downstream: Set, /) -> PartitionMapping:
        if upstream is None:
            raise PartitionError("the upstream has no partitions to take the last of")
        if isinstance(upstream, MultiPartitions):
            return self._in_time_dimension(upstream, downstream)
        if isinstance(downstream, MultiPartitions):
            try:
                name, _ = matching_dimension(downstream, upstream, as_upstream=False)
            except PartitionError:
                return _Newest(self.count)
            place = downstream.names.index(name)
            return OnePart(place, self.bind(upstream, downstream.sets[place]))
        if isinstance(upstream, TimePartitions) and isinstance(downstream, TimePartitions):
            relation(upstream, downstream)
            return _Rolling(self.count)
        return _Newest(self.count)

    def _in_time_dimension(self, upstream: MultiPartitions, downstream: Set) -> PartitionMapping:
        place = _time_dimension(upstream)
        if downstream is None:
            return Aligned(
                tuple(
                    (None, _Newest(self.count) if i == place else AllPartitions())
                    for i in range(len(upstream.sets))
                )
            )
        bound = relation(upstream, downstream)
        if not isinstance(bound, Aligned):  # Equal sets: the same key, part by part.
            bound = Aligned(tuple((i, default_mapping(keys, keys)) for i, keys in enumerate(upstream.sets)))
        parts = list(bound.parts)
        position, mapping = parts[place]
        fixed = isinstance(mapping, AllPartitions)
        parts[place] = position, _Newest(self.count) if fixed else _Rolling(self.count)
        return Aligned(tuple(parts))


@dataclass(frozen=True, slots=True)
class _Newest(PartitionMapping):
    count: int

    @property
    def many(self) -> bool | None:
        return True

    def upstream_keys(self, _key: Any, upstream: Set, _downstream: Set, /) -> Sequence[Any]:
        assert upstream is not None
        return upstream.latest(self.count)


@dataclass(frozen=True, slots=True)
class _Rolling(PartitionMapping):
    count: int

    @property
    def many(self) -> bool | None:
        return True

    def upstream_keys(self, key: Any, upstream: Set, downstream: Set, /) -> Sequence[Any]:
        assert isinstance(upstream, TimePartitions)
        assert isinstance(downstream, TimePartitions)
        if upstream.coarseness < downstream.coarseness:
            last = inner_numbers(key, upstream, downstream)[1]
        else:
            last = containing_number(key, upstream, downstream)
        return KeySlice(upstream, *upstream.numbered(last - self.count + 1, last))


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeOffset(_Declared):
    """The key that lies so much later, or earlier where the numbers are negative: `TimeOffset(days=-1)`.

    The shifted key then leads to the upstream by the default rules, so a monthly upstream of a daily asset
    gives the month that contains the shifted day. Months, weeks and days move the local calendar (31 March
    minus a month is 28 February, an hour keeps its time of day across a clock change); hours are real time.
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
        place = _time_dimension(downstream) if isinstance(downstream, MultiPartitions) else None
        shifted = downstream if place is None else downstream.sets[place]  # type: ignore[attr-defined] # `place` says multi
        if not isinstance(shifted, TimePartitions):
            raise PartitionError("TimeOffset() needs an asset that is partitioned by time")
        self._check_unit(shifted)
        return _Shifted(self, place, relation(upstream, downstream))

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
        local = key.astimezone(keys.zone)
        moved = datetime.combine(self._shift_date(local.date()), local.timetz()).replace(fold=local.fold)
        return moved.astimezone(UTC) + timedelta(hours=self.hours)

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


@dataclass(frozen=True, slots=True)
class _Shifted(PartitionMapping):
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


def _time_dimension(keys: MultiPartitions) -> int:
    """The position of the one dimension that is time."""
    places = [i for i, dimension in enumerate(keys.sets) if isinstance(dimension, TimePartitions)]
    if len(places) != 1:
        raise PartitionError(f"{keys!r} has {len(places)} time dimensions, not one")
    return places[0]
