"""What a run consists of: assets in topological order, each with the partitions that are part of the run.

Map of this file
    RunPlan      the whole of it, which knows each step by its number
    AssetPlan    the steps of one asset
    Edge         what the steps of an asset need of those of another one
    KeyList      keys that stand in no order

Every step has a number: assets stand one after another in topological order, and within an asset the
partitions in the order of its set. Numbers make a step's state one byte, and its upstream steps ranges.
Nothing here is as long as the run, except key lists that somebody wrote down key by key.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, NamedTuple, overload

from flowstone.assets.partition_keys import decode_partition, encode_partition
from flowstone.assets.partition_mapping import AllPartitions, NoPartition
from flowstone.errors import PartitionError
from flowstone.runs.run_config import resolve

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from flowstone.assets.asset import Dependency, Takes
    from flowstone.assets.graph import AssetGraph
    from flowstone.assets.partition_view import PartitionView
    from flowstone.runs.records import Refresh, RunSpec
    from flowstone.runs.run_config import AssetConfig

__all__ = ["AssetPlan", "KeyList", "Opening", "RunPlan"]

_CONSTANT: Final = (NoPartition, AllPartitions)  # Mappings that do not look at the key.


class KeyList(Sequence[Any]):
    """Partition values written down one by one, without duplicates, with O(1) `index` and `in`."""

    __slots__ = ("_index", "_keys")

    def __init__(self, keys: Iterable[Any]) -> None:
        self._keys = tuple(dict.fromkeys(keys))
        self._index: dict[Any, int] | None = None

    @overload
    def __getitem__(self, position: int) -> Any: ...
    @overload
    def __getitem__(self, position: slice) -> tuple[Any, ...]: ...
    def __getitem__(self, position: int | slice) -> Any:
        return self._keys[position]

    def __len__(self) -> int:
        return len(self._keys)

    def __contains__(self, key: object) -> bool:
        return key in self._positions()

    def index(self, key: Any, start: int = 0, stop: int | None = None) -> int:
        position = self._positions().get(key)
        if position is None or position < start or (stop is not None and position >= stop):
            raise ValueError(f"{key!r} is not one of these keys")
        return position

    def __eq__(self, other: object) -> bool:
        return self._keys == other._keys if isinstance(other, KeyList) else NotImplemented

    __hash__ = None  # type: ignore[assignment]  # compared like a list, hashed like one

    def _positions(self) -> dict[Any, int]:
        if self._index is None:
            self._index = {key: position for position, key in enumerate(self._keys)}
        return self._index


class AssetPlan:
    """One asset's part of a run.

    Attributes:
        asset: The asset's name.
        index: Its place among the assets of the plan.
        offset: The number of its first step.
        end: The number after its last step.
        keys: The partition values of its steps, in order; `(None,)` where it has no partition.
        refresh: Which existing values are reused.
        downstream: Places of the assets of the plan that depend on it directly.
        dependencies: Those on other assets of the plan.
        shifts: Where every edge is aligned, how far before a step its counterpart stands, for each edge.
        unpartitioned: Whether its only step has no partition.
        recipe: How its steps are made in memory, once one was: what follows from plan and definition alone
            (`runtime/run/memory_attempt.py`).
    """

    __slots__ = (
        "_edges",
        "_upstream",
        "_view",
        "asset",
        "dependencies",
        "downstream",
        "end",
        "index",
        "keys",
        "offset",
        "recipe",
        "refresh",
        "shifts",
        "unpartitioned",
    )

    def __init__(self, asset: str, index: int, offset: int, keys: Sequence[Any], refresh: Refresh) -> None:
        self.asset = asset
        self.index = index
        self.offset = offset
        size = len(keys)
        self.end = offset + size
        self.keys = keys
        self.refresh = refresh
        self.downstream: list[int] = []
        self.dependencies: Sequence[Dependency] = ()
        self._edges: Sequence[Edge] | None = ()
        self.shifts: Sequence[int] | None = ()
        self.unpartitioned = size == 1 and keys[0] is None
        self.recipe: Any = None

    def connect(
        self,
        view: PartitionView,
        dependencies: Sequence[Dependency],
        upstream: Sequence[AssetPlan],
        *,
        same_keys: bool,
    ) -> None:
        """Say what it depends on.

        Args:
            view: The partition sets of the plan.
            dependencies: Those on assets of the plan.
            upstream: The plans of these assets.
            same_keys: Whether each step needs just the same key of all of them (`AssetGraph.needs_same_keys`).
        """
        self._view, self.dependencies, self._upstream = view, dependencies, upstream
        self._edges = None  # Where `shifts` says it all they are seldom asked for.
        shifts = []
        for other in upstream:
            other.downstream.append(self.index)
            if same_keys and (other.keys is self.keys or other.keys == self.keys):
                shifts.append(self.offset - other.offset)
        self.shifts = shifts if len(shifts) == len(upstream) else None

    @property
    def edges(self) -> Sequence[Edge]:
        """The dependencies as ways from its steps to those of the other assets."""
        if self._edges is None:
            self._edges = [
                Edge(self._view, self, dependency, other)
                for dependency, other in zip(self.dependencies, self._upstream, strict=True)
            ]
        return self._edges

    @edges.setter
    def edges(self, edges: Sequence[Edge]) -> None:
        self._edges = edges

    def step(self, number: int) -> tuple[str, Any, str | None]:
        """What `RunPlan.step` says of one of its steps."""
        if self.unpartitioned:
            return self.asset, None, None
        value = self.keys[number - self.offset]
        return self.asset, value, None if value is None else encode_partition(value)

    def upstream(self, position: int) -> Sequence[range]:
        """The steps of the run that the step at this position depends on."""
        edges = self.edges
        if len(edges) == 1:
            return edges[0].numbers(position, self.keys)
        return [numbers for edge in edges for numbers in edge.numbers(position, self.keys)]

    def position(self, key: Any) -> int | None:
        """Where `key` stands among the keys, or None."""
        try:
            return self.keys.index(key)
        except (ValueError, PartitionError):
            return None

    def numbers(self, keys: Sequence[Any]) -> tuple[range, ...]:
        """The steps of these keys as few ranges; keys that are not part of the run are left out."""
        if len(keys) == 1 or isinstance(keys, (tuple, list, KeyList)) or isinstance(self.keys, KeyList):
            # Keys that were written down one by one stand in any order: their ends say nothing.
            return _ranges(self.offset + at for key in keys if (at := self.position(key)) is not None)
        # A contiguous slice of a set: its ends say it all, if both are in the plan.
        if len(keys) == 0:
            return ()
        first, last = self.position(keys[0]), self.position(keys[-1])
        if first is not None and last is not None and last - first == len(keys) - 1:
            return (range(self.offset + first, self.offset + last + 1),)
        return _ranges(self.offset + at for key in keys if (at := self.position(key)) is not None)


class Edge:
    """A dependency between two assets of the plan.

    Attributes:
        name: The upstream asset's name.
        upstream: The upstream asset's plan.
        aligned: Whether the steps of both stand in the same order, each needing its counterpart.
        constant: Whether every step needs the same upstream steps; they are looked up once.
        takes: What the step takes of the upstream step: its `value`, its `outcome`, or a `choice`.
        optional: Whether it does without a value that was skipped by choice; never without one of the own past,
            whose default is for the first key.
    """

    __slots__ = ("_asset", "_found", "_view", "aligned", "constant", "name", "optional", "takes", "upstream")

    def __init__(
        self, view: PartitionView, plan: AssetPlan, dependency: Dependency, upstream: AssetPlan
    ) -> None:
        self._view = view
        self._asset = plan.asset
        self.takes: Takes = dependency.takes
        self.optional = dependency.optional and plan is not upstream
        self.name = dependency.asset
        self.upstream = upstream
        self.aligned = (
            plan is not upstream
            and view.graph.needs_same_keys(plan.asset, self.name)
            and (plan.keys is upstream.keys or plan.keys == upstream.keys)
        )
        self.constant = type(view.graph.mapping_of(plan.asset, self.name)) in _CONSTANT
        self._found: Sequence[range] | None = None

    def numbers(self, position: int, keys: Sequence[Any]) -> Sequence[range]:
        """The upstream steps that the step at this position needs."""
        if self.aligned:
            number = self.upstream.offset + position
            return (range(number, number + 1),)
        if self._found is not None:
            return self._found
        needed = self._view.upstream_keys(self._asset, self.name, keys[position]).keys
        found = self.upstream.numbers(needed)
        if self.constant:
            self._found = found
        return found


class Opening(NamedTuple):
    """What the first walk of every fresh run of a plan comes to, where no asset has more steps than may be live.

    Attributes:
        states: The state of each step.
        ready: The steps that nothing holds up.
        blocked: How many upstream steps each of the others waits for.
        waiters: By upstream step, those that wait for it.
    """

    states: bytes
    ready: Sequence[int]
    blocked: Mapping[int, int]
    waiters: Mapping[int, Sequence[int]]


class RunPlan:
    """The steps of a run and how they depend on each other.

    Args:
        asked: The keys of each target that were asked for; its plan may have others that these need.

    Attributes:
        request: What was asked for.
        graph: The graph it was planned on; a later change of the pipeline does not reach a planned run.
        view: The partition sets as they were at that instant.
        assets: One `AssetPlan` per asset, upstream before downstream.
        total: The number of steps.
        configs: What those of its assets take that take a config.
        offsets: The number of the first step of each asset.
        wide: How many assets have another number of steps than one.
        widest: The number of steps of the asset that has most.
        reuses: Whether any value is reused.
        chooses: Whether any step of the graph takes something else than values.
        limited: The assets of the graph whose steps need slots of pools or turns of rates.
        template: The plan that this one repeats.
        opening: What its runs begin with, as far as it is known: the window's (`window.py`).
    """

    configs: Mapping[str, AssetConfig] = MappingProxyType({})
    template: RunPlan | None = None
    opening: Opening | None = None

    def __init__(
        self,
        request: RunSpec,
        graph: AssetGraph,
        view: PartitionView,
        assets: tuple[AssetPlan, ...],
        asked: Mapping[str, Sequence[Any]],
    ) -> None:
        self.request = request
        self.graph = graph
        self.view = view
        self.assets = assets
        self.total = assets[-1].end if assets else 0
        self.offsets = [plan.offset for plan in assets]
        sizes = [plan.end - plan.offset for plan in assets]
        self.wide = len(sizes) - sizes.count(1)
        self.widest = max(sizes, default=0)
        self.reuses = any(plan.refresh != "all" for plan in assets)
        self.chooses = graph.chooses
        self.limited = graph.limited
        self._asked = asked
        self._by_name = {plan.asset: plan for plan in assets}
        if graph.configured or request.config:
            self.configs = resolve(graph, self._by_name, request.config)

    def again(self, request: RunSpec, view: PartitionView) -> RunPlan:
        """The same steps for another request. Only for plans without partitions, which no view can change."""
        plan = RunPlan.__new__(RunPlan)
        plan.__dict__.update(self.__dict__)
        plan.request, plan.view = request, view
        plan.template = self
        if plan.graph.configured or request.config:
            plan.configs = resolve(plan.graph, plan._by_name, request.config)
        return plan

    @property
    def targets(self) -> Sequence[range]:
        """The steps that were asked for. Every other one is part of the run because one of these needs it."""
        found: list[range] = []
        for name, keys in self._asked.items():
            plan = self._by_name[name]
            found += (range(plan.offset, plan.end),) if plan.keys is keys else plan.numbers(keys)
        return found

    def of(self, step: int) -> AssetPlan:
        """The asset's plan that holds the step."""
        return self.assets[bisect_right(self.offsets, step) - 1 if self.wide else step]

    def step(self, number: int) -> tuple[str, Any, str | None]:
        """The step's asset name, partition value and encoded partition key."""
        return self.of(number).step(number)

    def number(self, asset: str, partition_key: str | None) -> int | None:
        """The number of a step, or None if it is not part of this run."""
        plan = self._by_name.get(asset)
        if plan is None:
            return None
        value = None if partition_key is None else decode_partition(partition_key)
        position = plan.position(value)
        return None if position is None else plan.offset + position

    def upstream(self, step: int) -> Sequence[range]:
        """The steps of this run that the step depends on."""
        plan = self.of(step)
        return plan.upstream(step - plan.offset)


def _ranges(numbers: Iterable[int]) -> tuple[range, ...]:
    """Merge numbers into ranges of consecutive ones."""
    found: list[range] = []
    for number in sorted(numbers):
        if found and found[-1].stop == number:
            found[-1] = range(found[-1].start, number + 1)
        else:
            found.append(range(number, number + 1))
    return tuple(found)
