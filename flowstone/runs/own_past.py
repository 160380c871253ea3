"""The keys of an asset that depends on its own past: in order, and with all the earlier ones that they need.

The mapping is a `TimeOffset` that looks back. Where it always leads over the same number of keys, the earlier keys
of consecutive ones are a slice again; so a run over a million partitions is planned without looking at one of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flowstone.assets.key_slice import KeySlice
from flowstone.assets.time_offset import Shifted
from flowstone.runs.plan import KeyList

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from flowstone.assets.partition_set import PartitionSet
    from flowstone.assets.partition_view import PartitionView

__all__ = ["with_earlier"]


def with_earlier(view: PartitionView, asset: str, keys: Sequence[Any], *, closed: bool) -> Sequence[Any]:
    """The keys in the order of the asset's set.

    Args:
        view: The partitions.
        asset: An asset that depends on itself.
        keys: Some of its keys.
        closed: Whether to leave it at these, instead of taking in all earlier ones that they need.
    """
    own = view.set_of(asset)
    assert own is not None
    if isinstance(keys, KeySlice) and (closed or keys.start == 0 or len(keys) == 0):
        return keys
    positions: Sequence[int]
    if closed:
        positions = sorted({at for key in keys if (at := own.position_of(key)) is not None})
    else:
        mapping = view.graph.mapping_of(asset, asset)
        assert isinstance(mapping, Shifted)
        stride = mapping.offset.stride(own)
        if stride is not None and isinstance(keys, KeySlice) and len(keys) >= stride:
            return KeySlice(own, 0, keys.stop)
        positions = _strided(own, keys, stride) if stride is not None else _found(view, asset, own, keys)
    return _at(own, positions)


def _strided(own: PartitionSet[Any], keys: Sequence[Any], stride: int) -> Sequence[int]:
    last: dict[int, int] = {}  # Of keys that are whole strides apart the last one has all others before it.
    for key in keys:
        at = own.position_of(key)
        if at is not None:
            last[at % stride] = max(at, last.get(at % stride, 0))
    if stride == 1 and last:
        return range(last[0] + 1)
    return sorted(at for first, end in last.items() for at in range(first, end + 1, stride))


def _found(view: PartitionView, asset: str, own: PartitionSet[Any], keys: Iterable[Any]) -> list[int]:
    """Where the keys and all earlier ones that they need stand, found one by one."""
    found: set[int] = set()
    waiting = list(keys)
    while waiting:
        key = waiting.pop()
        at = own.position_of(key)
        if at is not None and at not in found:
            found.add(at)
            waiting += view.upstream_keys(asset, asset, key).keys
    return sorted(found)


def _at(own: PartitionSet[Any], positions: Sequence[int]) -> Sequence[Any]:
    if positions and positions[-1] - positions[0] == len(positions) - 1:
        return KeySlice(own, positions[0], positions[-1] + 1)
    return KeyList(map(own.key_at, positions))
