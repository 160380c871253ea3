"""The other way round: which keys of an asset need one key of an upstream asset.

A mapping answers for a key of the asset. Here its class tells where to look for keys that may need the upstream
key, and the mapping itself is asked about each of these, so that the answer is exact. Most classes lead to one key
or a few; a mapping of the user's own is asked about each key of the asset.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from flowstone.assets.key_slice import KeyProduct, KeySlice
from flowstone.assets.last_partitions import Newest, Rolling
from flowstone.assets.multi_partitions import MultiPartitions
from flowstone.assets.partition_mapping import (
    Aligned,
    AllPartitions,
    AllUnlessGiven,
    ContainingKey,
    InnerKeys,
    NoPartition,
    OnePart,
    SameKey,
)
from flowstone.assets.time_offset import Shifted
from flowstone.assets.time_partitions import TimePartitions

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flowstone.assets.partition_mapping import PartitionMapping, Set
    from flowstone.assets.partition_set import PartitionSet
    from flowstone.assets.partition_view import PartitionView
    from flowstone.assets.time_offset import TimeOffset

__all__ = ["downstream_keys"]

_UNPARTITIONED = (None,)
_WHOLE = (NoPartition, AllPartitions, AllUnlessGiven)
_MARGIN = 2  # Periods that zones and the order of dates may make a difference of.
_NONE = timedelta()


def downstream_keys(view: PartitionView, asset: str, dependency: str, key: Any) -> Sequence[Any]:
    """The keys of an asset that need a key of one of its direct dependencies, in order.

    Args:
        view: The partitions there are.
        asset: The asset's name.
        dependency: The upstream's name.
        key: A key of the upstream, or None; one that it does not have (any more) is needed by nobody.

    Raises:
        AssetNotFound: There is no such asset, or it does not depend on the other.
    """
    mapping = view.graph.mapping(asset, dependency)
    upstream, downstream = view.set_of(dependency), view.set_of(asset)
    if upstream is not None and upstream.position_of(key) is None:
        return ()
    found = _candidates(mapping, upstream, downstream, key)
    if isinstance(mapping, _WHOLE):
        return found
    return [each for each in found if key in view.upstream_keys(asset, dependency, each).keys]


def _candidates(mapping: PartitionMapping, upstream: Set, downstream: Set, key: Any) -> Sequence[Any]:
    """Keys among which are all that need the upstream key."""
    if isinstance(mapping, SameKey):
        return (key,) if downstream is None or downstream.position_of(key) is not None else ()
    if downstream is None:
        return _UNPARTITIONED
    if isinstance(mapping, OnePart):
        assert isinstance(downstream, MultiPartitions)
        place = mapping.position
        return _box(downstream, {place: _candidates(mapping.mapping, upstream, downstream.sets[place], key)})
    if isinstance(mapping, Aligned):
        return _aligned(mapping, upstream, downstream, key)
    if isinstance(upstream, TimePartitions) and isinstance(downstream, TimePartitions):
        return _in_time(mapping, upstream, downstream, key)
    return downstream.keys()


def _aligned(mapping: Aligned, upstream: Set, downstream: PartitionSet[Any], key: Any) -> Sequence[Any]:
    assert isinstance(upstream, MultiPartitions)
    parts: dict[int, Sequence[Any]] = {}
    for (position, part), keys, value in zip(mapping.parts, upstream.sets, key, strict=True):
        if isinstance(part, AllPartitions | Newest):
            continue  # Needed by every key, or nearly so.
        if position is None:
            return _candidates(part, keys, downstream, value)
        assert isinstance(downstream, MultiPartitions)
        parts.setdefault(position, _candidates(part, keys, downstream.sets[position], value))
    return _box(downstream, parts)


def _box(downstream: PartitionSet[Any], parts: dict[int, Sequence[Any]]) -> Sequence[Any]:
    """The keys of which some parts are among these."""
    if not parts:
        return downstream.keys()
    assert isinstance(downstream, MultiPartitions)
    return KeyProduct([parts.get(place, keys.keys()) for place, keys in enumerate(downstream.sets)])


def _in_time(
    mapping: PartitionMapping, upstream: TimePartitions[Any], downstream: TimePartitions[Any], key: Any
) -> Sequence[Any]:
    number = upstream.number_of(key)
    assert number is not None, "it is a key of this set"
    least = most = _NONE
    last = number + 1
    if isinstance(mapping, Shifted) and mapping.position is None:
        least, most = _moved(mapping.offset)
        mapping = mapping.mapping
    if isinstance(mapping, Rolling):
        last = number + mapping.n
    elif not isinstance(mapping, SameKey | ContainingKey | InnerKeys):
        return downstream.keys()
    try:
        first_number = downstream.number_at(upstream.begins(number) + least) - _MARGIN
        last_number = downstream.number_at(upstream.begins(last) + most) + _MARGIN
    except (OverflowError, ValueError):  # At the ends of the calendar.
        return downstream.keys()
    return KeySlice(downstream, *downstream.numbered(first_number, last_number))


def _moved(offset: TimeOffset) -> tuple[timedelta, timedelta]:
    """How much later than its upstream key a key may be, at least and at most."""
    months = sorted((-offset.months * 28, -offset.months * 31))
    rest = timedelta(days=-offset.days, weeks=-offset.weeks, hours=-offset.hours)
    spread = timedelta(days=4)  # Ends of months, and clocks that are changed.
    return rest + timedelta(days=months[0]) - spread, rest + timedelta(days=months[1]) + spread
