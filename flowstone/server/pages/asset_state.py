"""How each asset stands in one shape: what is worst of its partitions, how many it has, and what is under way."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

from flowstone.frozen import frozen
from flowstone.runs.records import Status

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from flowstone.runtime.runtime import Runtime

__all__ = ["AssetState", "asset_states"]

GROUP: Final = "group"
"""The tag by which assets are put together on pages."""


@frozen
class AssetState:
    """An asset as pages show it.

    Attributes:
        asset: Its name.
        group: The value of its tag `group`; without one the name of its pipeline.
        shape: `fail`, `wait`, `run`, `skipd`, `never` or `ok`: the first of these that is true of a partition, and
            `never` where none has a value.
        have: Partitions with a current value.
        total: Partitions there are; 1 of an asset without a partition set.
        parts: How many partitions there are of each shape, those with a value first.
        counts: How many partitions stand how.
    """

    asset: str
    group: str
    shape: str
    have: int
    total: int
    parts: Sequence[tuple[str, int]]
    counts: Mapping[Status, int]


async def asset_states(runtime: Runtime) -> Mapping[str, AssetState]:
    """All assets in the order of the graph."""
    graph = runtime.graph
    known = await runtime.partition_counts()
    running = Counter(step.asset for node in await runtime.nodes() for step in node.running)
    waiting = Counter(approval.asset for approval in await runtime.approvals(limit=1_000))
    found = {}
    for name in graph.order():
        counted = known[name]
        counts = counted.counts
        parts = [
            ("ok", counts.get(Status.SUCCEEDED, 0)),
            ("run", running[name]),
            ("wait", waiting[name]),
            ("fail", counts.get(Status.FAILED, 0)),
            ("skipd", counts.get(Status.SKIPPED, 0) + counts.get(Status.CANCELLED, 0)),
            ("never", max(0, counts.get(Status.NEVER, 0) - running[name] - waiting[name])),
        ]
        there = [(shape, number) for shape, number in parts if number]
        group = graph[name].tags.get(GROUP) or runtime.pipeline_of(name)
        found[name] = AssetState(name, group, _worst(there), counted.have, counted.total, there, counts)
    return found


def _worst(parts: Sequence[tuple[str, int]]) -> str:
    shapes = {shape for shape, _ in parts}
    for shape in ("fail", "wait", "run"):
        if shape in shapes:
            return shape
    if "ok" in shapes:
        return "ok"
    return "skipd" if "skipd" in shapes else "never"
