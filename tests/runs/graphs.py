"""Random graphs with random partition sets, for tests of planning."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from hypothesis import assume
from hypothesis import strategies as st

from flowstone import (
    AllPartitions,
    DailyPartitions,
    DefinitionError,
    HourlyPartitions,
    LastPartitions,
    MonthlyPartitions,
    MultiPartitions,
    Pipeline,
    Rollup,
    StaticPartitions,
    TimeOffset,
    WeeklyPartitions,
)
from flowstone.assets.partition_keys import encode_partition
from flowstone.assets.partition_view import PartitionView

__all__ = ["NOW", "Scene", "scenes", "step_keys", "upstream_by_hand"]

NOW = datetime(2025, 3, 1, 12, tzinfo=UTC)

_DAYS = DailyPartitions("2025-01-30", "2025-02-08")
_LATER = DailyPartitions("2025-02-03", "2025-02-12")
_OPEN = DailyPartitions("2025-02-20")
_REGIONS = StaticPartitions(["eu", "us", "asia"])
_SETS = (
    None,
    _DAYS,
    _LATER,
    _OPEN,
    MonthlyPartitions("2025-01-01", "2025-03-31"),
    WeeklyPartitions("2025-01-27", "2025-02-16"),
    HourlyPartitions("2025-02-05T20:00", "2025-02-06T05:00"),
    _REGIONS,
    StaticPartitions(["us", "eu"]),
    MultiPartitions(region=_REGIONS, day=_DAYS),
    MultiPartitions(day=_LATER, size=StaticPartitions(["s", "l"])),
)
_MAPPINGS = (
    None,
    None,
    None,
    AllPartitions(),
    LastPartitions(2),
    LastPartitions(4),
    TimeOffset(days=-1),
    TimeOffset(days=2),
    Rollup(),
)


@dataclass
class Scene:
    """A graph with a view of it, a target, and keys of the target.

    Attributes:
        view: Of the graph, at `NOW`.
        target: The asset asked for.
        keys: Its keys that are asked for, as values.
    """

    view: PartitionView
    target: str
    keys: list[Any]


@st.composite
def scenes(draw: st.DrawFn, most: int = 6) -> Scene:
    """Up to `most` assets in a random acyclic graph; refused combinations of sets are left out."""
    pipeline = Pipeline("random")
    sets = draw(st.lists(st.sampled_from(_SETS), min_size=1, max_size=most))
    for number, keys in enumerate(sets):
        above = [f"a{other}" for other in range(number)]
        deps = draw(st.lists(st.sampled_from(above), unique=True, max_size=3)) if above else []
        mappings = {name: mapping for name in deps if (mapping := draw(st.sampled_from(_MAPPINGS)))}
        pipeline.asset(name=f"a{number}", deps=deps, partitions=keys, mappings=mappings)(_nothing)
        try:
            _ = pipeline.graph
        except DefinitionError:
            assume(False)
    target = f"a{draw(st.integers(0, len(sets) - 1))}"
    view = PartitionView(pipeline.graph, NOW)
    return Scene(view, target, draw(_selections(view, target)))


def _selections(view: PartitionView, target: str) -> st.SearchStrategy[list[Any]]:
    keys = list(view.keys(target))
    if view.set_of(target) is None:
        keys = [None, "eu", "2025-02-05"]
    return st.lists(st.sampled_from(keys), unique=True, min_size=1, max_size=len(keys))


async def _nothing() -> None: ...


def upstream_by_hand(view: PartitionView, asset: str, key: Any) -> set[tuple[str, str | None]]:
    """The upstream steps of one step, key by key."""
    return {
        (dependency.asset, None if value is None else encode_partition(value))
        for dependency in view.graph[asset].dependencies
        for value in view.upstream_keys(asset, dependency.asset, key).keys
    }


def step_keys(view: PartitionView, target: str, keys: list[Any]) -> set[tuple[str, str | None]]:
    """Every step that the target's keys need, themselves included, found one by one."""
    found: dict[tuple[str, str | None], None] = {}
    open_steps = [(target, key) for key in keys]
    while open_steps:
        asset, key = open_steps.pop()
        name = (asset, None if key is None else encode_partition(key))
        if name in found:
            continue
        found[name] = None
        for dependency in view.graph[asset].dependencies:
            open_steps += [
                (dependency.asset, k) for k in view.upstream_keys(asset, dependency.asset, key).keys
            ]
    return set(found)
