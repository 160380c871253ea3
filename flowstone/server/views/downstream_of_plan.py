"""What takes that which a plan computes, and is not computed with it: what becomes of that."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flowstone.frozen import frozen
from flowstone.runs.records import Status

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping

    from flowstone.assets.graph import AssetGraph
    from flowstone.runs.partition_states import PartitionStates

__all__ = ["Below", "below"]


@frozen
class Below:
    """An asset that takes what would be computed, and is not computed with it.

    Attributes:
        asset: Its name.
        words: What becomes of it.
        shape: The shape of that.
    """

    asset: str
    words: str
    shape: str


def below(
    graph: AssetGraph,
    computed: Iterable[str],
    planned: Collection[str],
    states: Mapping[str, PartitionStates],
) -> Iterator[Below]:
    """These assets, in the order of the graph.

    Args:
        graph: All assets.
        computed: Those of which steps would run.
        planned: Those of the plan.
        states: What has become of the partitions of each.
    """
    affected = {name for asset in computed for name in graph.downstream(asset)}.difference(planned)
    for name in graph.order():
        if name not in affected:
            continue
        if "on_upstream_change" in repr(graph[name].automation):
            yield Below(name, "follows by itself", "run")
        elif name in states and states[name].counts.get(Status.SUCCEEDED):
            yield Below(name, "goes stale where its inputs change", "stale")
        else:
            yield Below(name, "was never made", "never")
