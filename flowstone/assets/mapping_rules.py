"""The mapping between two assets that declare none: what people mean when they say nothing.

    upstream            downstream          the downstream key needs
    none, or constant   any                 its one value
    none                none                the same key
    any set             none                all keys, or the given one
    equal set           equal set           the same key
    finer time          coarser time        the finer keys that begin inside it (a dict)
    coarser time        finer time          the key it begins in
    subset of a list    list                the same key
    one dimension       multi               that part of the key, by these same rules
    multi               one dimension       every combination that has this key as that part (a dict)
    multi               multi               dimensions of one name by these rules, all keys of the others

Anything else is refused with the reason, because a guess here would silently read the wrong data.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flowstone.assets.calendar_partitions import CalendarPartitions
from flowstone.assets.hourly_partitions import HourlyPartitions
from flowstone.assets.multi_partitions import MultiPartitions
from flowstone.assets.partition_mapping import (
    Aligned,
    AllPartitions,
    AllUnlessGiven,
    ContainingKey,
    InnerKeys,
    NoPartition,
    OnePart,
    PartitionMapping,
    SameKey,
)
from flowstone.assets.static_partitions import StaticPartitions
from flowstone.assets.time_partitions import TimePartitions
from flowstone.errors import PartitionError

if TYPE_CHECKING:
    from flowstone.assets.partition_set import PartitionSet

__all__ = ["aligned", "default_mapping", "matching_dimension", "relation", "time_dimension"]


def default_mapping(
    upstream: PartitionSet[Any] | None, downstream: PartitionSet[Any] | None
) -> PartitionMapping:
    """The mapping between two declared sets, or assets without one.

    Raises:
        PartitionError: No rule leads from one set to the other; the message is the reason.
    """
    if upstream is None:
        return SameKey() if downstream is None else NoPartition()
    if downstream is None:
        return AllUnlessGiven()
    return relation(upstream, downstream)


def relation(upstream: PartitionSet[Any], downstream: PartitionSet[Any]) -> PartitionMapping:
    """As `default_mapping`, where both assets have a set."""
    if upstream == downstream:
        return SameKey()
    if isinstance(upstream, MultiPartitions) or isinstance(downstream, MultiPartitions):
        return _between_dimensions(upstream, downstream)
    if isinstance(upstream, TimePartitions) and isinstance(downstream, TimePartitions):
        return _between_times(upstream, downstream)
    if isinstance(upstream, StaticPartitions) and isinstance(downstream, StaticPartitions):
        return _between_lists(upstream, downstream)
    raise PartitionError("no default leads from one kind of set to the other")


def _between_times(upstream: TimePartitions[Any], downstream: TimePartitions[Any]) -> PartitionMapping:
    if isinstance(upstream, CalendarPartitions) and isinstance(downstream, CalendarPartitions):
        _check_zone(upstream, downstream)
    if isinstance(upstream, HourlyPartitions) and isinstance(downstream, HourlyPartitions):
        _check_phase(upstream, downstream)
    if upstream.coarseness == downstream.coarseness:
        return SameKey()
    return InnerKeys() if upstream.coarseness < downstream.coarseness else ContainingKey()


def _check_zone(upstream: CalendarPartitions, downstream: CalendarPartitions) -> None:
    if upstream.timezone != downstream.timezone:
        raise PartitionError(
            f"their days begin at different instants, in {upstream.timezone} and in {downstream.timezone}"
        )


def _check_phase(upstream: HourlyPartitions, downstream: HourlyPartitions) -> None:
    if upstream.phase != downstream.phase:
        raise PartitionError("their hours begin at different minutes")


def _between_lists(upstream: StaticPartitions, downstream: StaticPartitions) -> PartitionMapping:
    missing = next((key for key in downstream if upstream.position_of(key) is None), None)
    if missing is not None:
        raise PartitionError(f"the upstream has no key {missing!r:.100}")
    return SameKey()


def _between_dimensions(upstream: PartitionSet[Any], downstream: PartitionSet[Any]) -> PartitionMapping:
    if isinstance(downstream, MultiPartitions) and upstream in downstream.sets:
        name, mapping = matching_dimension(downstream, upstream, as_upstream=False)
        return OnePart(downstream.names.index(name), mapping)
    if isinstance(upstream, MultiPartitions) and isinstance(downstream, MultiPartitions):
        return aligned(upstream, downstream)
    if isinstance(downstream, MultiPartitions):
        name, mapping = matching_dimension(downstream, upstream, as_upstream=False)
        return OnePart(downstream.names.index(name), mapping)
    assert isinstance(upstream, MultiPartitions)
    name, mapping = matching_dimension(upstream, downstream, as_upstream=True)
    return Aligned(tuple((None, mapping if other == name else AllPartitions()) for other in upstream.names))


def aligned(upstream: MultiPartitions, downstream: MultiPartitions) -> PartitionMapping:
    """Dimensions of one name by the rules, every key of the others.

    Raises:
        PartitionError: No dimension has the same name, or the sets of two that do have nothing in common.
    """
    if not set(upstream.names) & set(downstream.names):
        raise PartitionError("no dimension of one has the name of a dimension of the other")
    parts: list[tuple[int | None, PartitionMapping]] = []
    for name, keys in upstream.dimensions.items():
        if name in downstream.names:
            position = downstream.names.index(name)
            parts.append((position, relation(keys, downstream.sets[position])))
        else:
            parts.append((None, AllPartitions()))
    return Aligned(tuple(parts))


def matching_dimension(
    multi: MultiPartitions, single: PartitionSet[Any], *, as_upstream: bool
) -> tuple[str, PartitionMapping]:
    """The one dimension that a single set belongs with, equal sets first, and the mapping between the two.

    Args:
        multi: The set with dimensions.
        single: The other set.
        as_upstream: Whether `multi` is the upstream.

    Raises:
        PartitionError: No dimension matches, or several do.
    """
    found: dict[str, PartitionMapping] = {}
    for name, keys in multi.dimensions.items():
        try:
            found[name] = relation(keys, single) if as_upstream else relation(single, keys)
        except PartitionError:
            continue
    equal = [name for name in found if multi.dimensions[name] == single]
    if len(candidates := equal or list(found)) == 1:
        return candidates[0], found[candidates[0]]
    if candidates:
        names = ", ".join(f"SamePart({name!r})" for name in candidates)
        raise PartitionError(f"several dimensions match; say which one: {names}")
    raise PartitionError("no dimension of one matches the other")


def time_dimension(keys: MultiPartitions) -> int:
    """The position of the one dimension that is time.

    Raises:
        PartitionError: There is none, or there are several.
    """
    places = [i for i, dimension in enumerate(keys.sets) if isinstance(dimension, TimePartitions)]
    if len(places) != 1:
        raise PartitionError(f"{keys!r} has {len(places)} time dimensions, not one")
    return places[0]
