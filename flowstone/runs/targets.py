"""Several assets in one run: whose partitions are asked for, and which of the others go with them. Pure.

The partitions that a caller names are those of the most downstream assets that have a partition set, which must
have the same one, or periods of one kind. What is upstream of these has the same partitions, as far as it has them,
where it has such a set too, those that they need where it has another one, and its one value where it has none.
Where nobody has a set, all have the same key.

Without a partition there is one value of what has no set, and of what is upstream of that the partitions that it
needs.
"""

from __future__ import annotations

from dataclasses import field
from typing import TYPE_CHECKING, Any

from flowstone.assets.mapping_rules import relation
from flowstone.assets.partition_labels import key_label
from flowstone.assets.partition_mapping import SameKey
from flowstone.assets.time_partitions import TimePartitions
from flowstone.counting import count
from flowstone.errors import PartitionError
from flowstone.frozen import frozen
from flowstone.printable import one_line
from flowstone.remedies import Remedies

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from flowstone.assets.graph import AssetGraph
    from flowstone.assets.partition_set import PartitionSet
    from flowstone.assets.partition_view import PartitionView
    from flowstone.runs.records import RunSpec, Share

__all__ = ["Targets", "names_label", "request_label", "targets_label", "targets_of"]

_NAMED = 2  # Of more than three.


@frozen
class Targets:
    """The assets that a run is asked for.

    Attributes:
        asset: The one that the partitions are of.
        beside: The others, upstream before downstream, and which of their partitions are meant.
    """

    asset: str
    beside: Mapping[str, Share] = field(default_factory=dict)

    @property
    def names(self) -> tuple[str, ...]:
        """All of them."""
        return (*self.beside, self.asset)


def targets_of(view: PartitionView, names: tuple[str, ...], *, partitions: bool) -> Targets:
    """The targets of a run.

    Args:
        view: The partition sets.
        names: The assets, at least one, upstream before downstream.
        partitions: Whether partitions are asked for, by name or as all that there are.

    Raises:
        PartitionError: They have different partitions, and none is upstream of the other.
    """
    if len(names) == 1:
        return Targets(names[0])
    sets = {name: keys for name in names if (keys := view.set_of(name)) is not None}
    first = _most_downstream(view.graph, list(sets) if partitions else names)
    holders = [name for name in first if name in sets]
    asset = _widest(holders, sets) if holders else (first or names)[-1]
    own = sets.get(asset)
    for name in holders:
        if not _alike(sets[name], own):
            raise _differ(view, name, asset)
    beside: dict[str, Share] = {}
    for name in names:
        if name in sets:
            beside[name] = "same" if _alike(sets[name], own) else "needed"
        else:
            beside[name] = "same" if own is None else "once"
    del beside[asset]
    return Targets(asset, beside)


def _widest(names: Sequence[str], sets: Mapping[str, PartitionSet[Any]]) -> str:
    """The one with the most keys, of several the last: whatever is asked for of all of them is asked for of it."""
    return max(reversed(names), key=lambda name: sets[name].size)


def _alike(keys: PartitionSet[Any], others: PartitionSet[Any] | None) -> bool:
    """Whether a key means the same in both: they are one set, or periods of one kind with other ends."""
    if keys == others:
        return True
    if not (isinstance(keys, TimePartitions) and isinstance(others, TimePartitions)):
        return False
    try:
        return isinstance(relation(keys, others), SameKey)
    except PartitionError:
        return False


def _most_downstream(graph: AssetGraph, names: Sequence[str]) -> list[str]:
    """Those of them that are upstream of no other one, in their order."""
    above: set[str] = set()
    left = []
    for name in reversed(graph.with_upstream(names)):
        if name not in above:
            left.append(name)
        above.update(each.asset for each in graph.dependencies(name))
    return left[::-1]


def _differ(view: PartitionView, one: str, other: str) -> PartitionError:
    return PartitionError(
        f"Assets {one!r} and {other!r} have different partitions, {view.graph[one].partitions!r} and "
        f"{view.graph[other].partitions!r}, so there is none that both have.",
        remedies=Remedies("Run them one after the other, or something downstream of both with its upstream."),
    )


def names_label(names: tuple[str, ...]) -> str:
    """Several names as people read them: `raw and clean`, or `raw, clean and 3 more`."""
    shown = [one_line(name) for name in names]
    if len(shown) > _NAMED + 1:
        shown[_NAMED:] = [f"{len(shown) - _NAMED} more"]
    return shown[0] if len(shown) == 1 else f"{', '.join(shown[:-1])} and {shown[-1]}"


def targets_label(request: RunSpec) -> str:
    """The assets that a run was asked for, as people read them."""
    return names_label(request.targets)


def request_label(request: RunSpec) -> str:
    """The same with the partitions: `raw[2025-01-15]`, `raw and clean, 2025-01-15`, `monthly, 48 partitions`."""
    names = targets_label(request)
    if request.span is not None:
        partitions = " to ".join(map(key_label, request.span))
    elif len(request.keys) != 1:
        return f"{names}, {count(len(request.keys), 'partition')}"
    elif request.keys[0] is None:
        return names
    else:
        partitions = key_label(request.keys[0])
    return f"{names}, {partitions}" if request.beside else f"{names}[{partitions}]"
