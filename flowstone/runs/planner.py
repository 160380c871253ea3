"""From a request to a plan: which assets, which partitions of each, in which order. Pure and lazy.

The partitions of the targets are given; those of an upstream asset are all that its downstream assets need, found
from the targets upwards. Where keys are consecutive they stay a slice of their set, so that a backfill over a
million partitions with its upstream assets is planned without looking at a single key.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, assert_never

from flowstone.assets.key_slice import KeySlice
from flowstone.assets.partition_keys import decode_partition
from flowstone.assets.partition_mapping import (
    ContainingKey,
    InnerKeys,
    SameKey,
)
from flowstone.assets.time_partitions import TimePartitions
from flowstone.errors import DefinitionError, PartitionError
from flowstone.runs.own_past import with_earlier
from flowstone.runs.plan import AssetPlan, KeyList, RunPlan

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flowstone.assets.asset import Dependency
    from flowstone.assets.graph import AssetGraph
    from flowstone.assets.partition_set import PartitionSet
    from flowstone.assets.partition_view import PartitionView
    from flowstone.runs.records import RunSpec, Share

__all__ = ["plan_run"]


def plan_run(graph: AssetGraph, view: PartitionView, request: RunSpec) -> RunPlan:
    """Plan a request.

    Raises:
        AssetNotFound: A target is not in the graph.
        PartitionError: A key is foreign to the target's set.
        ConfigError: An asset lacks a required field, or is given a config and is no part of the run.
        DefinitionError: An asset that takes an outcome would be given many.
    """
    needs = _Needs(graph, view, request)
    if request.upstream or len(needs.targets) > 1:
        needs.walk()
    elif needs.needs_itself(request.asset):
        needs.look_back(request.asset)
    plans: dict[str, AssetPlan] = {}
    offset = 0
    for index, asset in enumerate(needs.part_of_run()):
        plan = plans[asset] = AssetPlan(asset, index, offset, needs.keys[asset], request.refresh)
        offset = plan.end
        dependencies = needs.dependencies.get(asset, ())
        if not request.upstream:
            dependencies = [each for each in dependencies if each.asset in plans]
        if dependencies:
            upstream_plans = [plans[each.asset] for each in dependencies]
            plan.connect(view, dependencies, upstream_plans, same_keys=asset not in needs.apart)
    return RunPlan(request, graph, view, tuple(plans.values()), needs.asked())


class _Needs:
    """The partitions of each asset that are part of a run, found from the targets upwards.

    Where the run has nothing but its targets, what these need of others is followed only as far as it leads to a
    target whose partitions are those that the other ones need.

    Attributes:
        targets: Their keys by name; None: those that targets downstream of it need.
        order: The assets that are looked at, upstream before downstream.
        keys: By asset.
        dependencies: By asset, those of its dependencies that are looked at, and that it needs something of.
        apart: The assets of which some dependency does not need just the same keys.
    """

    def __init__(self, graph: AssetGraph, view: PartitionView, request: RunSpec) -> None:
        self.graph = graph
        self.view = view
        own = _target_keys(view, request)
        self.targets: dict[str, Sequence[Any] | None] = {graph[request.asset].name: own}
        self.keys: dict[str, Sequence[Any]] = {request.asset: own}
        for name, share in request.beside.items():
            keys = self.targets[graph[name].name] = _shared_keys(view, request.asset, name, own, share)
            if keys is not None and len(keys):
                self.keys[name] = keys
        self.order = self._order(grows=request.upstream or len(self.keys) < len(self.targets))
        self.dependencies: dict[str, list[Dependency]] = {}
        self.apart: set[str] = set()
        self._whole = request.upstream
        self._looked_at = () if request.upstream else frozenset(self.order)
        self._parts: dict[str, list[Sequence[Any]]] = {}  # Where downstream assets need different keys.

    def _order(self, *, grows: bool) -> Sequence[str]:
        if grows and len(self.targets) == 1:
            return [*self.graph.upstream(*self.targets), *self.targets]
        if grows:
            return self.graph.with_upstream(self.targets)
        return sorted(self.targets, key=self.graph.rank)

    def walk(self) -> None:
        """Find the keys of all assets that are looked at, each after all that depend on it."""
        for asset in reversed(self.order):
            if asset in self._parts:
                self.keys[asset] = _union(self._parts.pop(asset))
            if asset in self.keys:
                if self.needs_itself(asset):
                    self.look_back(asset)
                self._look_upstream(asset, self.keys[asset])

    def part_of_run(self) -> list[str]:
        """The assets of the run, upstream before downstream."""
        within = self.keys if self._whole else self.keys.keys() & self.targets.keys()
        return [name for name in self.order if name in within]

    def asked(self) -> dict[str, Sequence[Any]]:
        """The keys of each target that is part of the run; those that are needed, where these were asked for."""
        found = {}
        for name, keys in self.targets.items():
            its = self.keys.get(name) if keys is None else keys
            if its is not None and name in self.keys:
                found[name] = its
        return found

    def needs_itself(self, asset: str) -> bool:
        """Whether it depends on its own earlier keys: only by a mapping can it."""
        return asset in self.graph.assets[asset].mappings

    def look_back(self, asset: str) -> None:
        """Put the keys of an asset that needs itself into the order of its set; with earlier ones, if it may grow.

        Steps are looked at in the order of the plan, so a key must come after the ones it needs.
        """
        self.keys[asset] = with_earlier(self.view, asset, self.keys[asset], closed=self._is_fixed(asset))
        dependencies = self.graph.assets[asset].dependencies
        self.dependencies[asset] = [each for each in dependencies if each.asset == asset]
        self.apart.add(asset)

    def _look_upstream(self, asset: str, keys: Sequence[Any]) -> None:
        graph, known = self.graph, self.keys
        assets = graph.assets
        needed = self.dependencies.get(asset, [])  # It may depend on itself.
        for dependency in assets[asset].dependencies:
            upstream = dependency.asset
            if assets[upstream].is_constant or upstream == asset or not self._is_looked_at(upstream):
                continue
            part = keys
            if not graph.needs_same_keys(asset, upstream):
                several = dependency.takes == "outcome" and graph.mapping_of(asset, upstream).many is None
                if several and None in keys:
                    raise DefinitionError(graph.refused_outcome(assets[asset], dependency))
                part = _upstream_keys(self.view, asset, upstream, keys)
                self.apart.add(asset)
            if known.get(upstream) is part:
                needed.append(dependency)
            elif len(part):
                needed.append(dependency)
                self._need(upstream, part)
        if needed:
            self.dependencies[asset] = needed

    def _is_looked_at(self, asset: str) -> bool:
        return self._whole or asset in self._looked_at

    def _is_fixed(self, asset: str) -> bool:
        """Whether just the partitions that were asked for are part of the run, whatever else is needed of it."""
        return not self._whole and self.targets.get(asset) is not None

    def _need(self, asset: str, part: Sequence[Any]) -> None:
        if self._is_fixed(asset):
            return
        before = self.keys.get(asset)
        if before is None:
            self.keys[asset] = part if isinstance(part, KeySlice | KeyList) else KeyList(part)
        else:
            self._parts.setdefault(asset, [before]).append(part)


def _target_keys(view: PartitionView, request: RunSpec) -> Sequence[Any]:
    if request.span is not None:
        keys = view.set_of(request.asset)
        if keys is None:
            raise PartitionError(
                f"Asset {request.asset!r} has no partition set, so it has no range of partitions."
            )
        first, last = (decode_partition(end) for end in request.span)
        return keys.between(first, last)
    return KeyList(None if key is None else decode_partition(key) for key in request.keys)


def _shared_keys(
    view: PartitionView, asset: str, other: str, own: Sequence[Any], share: Share
) -> Sequence[Any] | None:
    """The keys of a further target, as far as it has them; None: those that are needed."""
    match share:
        case "same":
            theirs = view.set_of(other)
            if theirs is None or theirs == view.set_of(asset):
                return own
            common = _common(own, theirs) if isinstance(own, KeySlice) else None
            return KeyList(key for key in own if key in theirs) if common is None else common
        case "once":
            return KeyList((None,))
        case "needed":
            return None
        case _:
            assert_never(share)


def _upstream_keys(view: PartitionView, asset: str, upstream: str, keys: Sequence[Any]) -> Sequence[Any]:
    if len(keys) == 1:
        return view.upstream_keys(asset, upstream, keys[0]).keys
    if isinstance(keys, KeySlice) and len(keys) > 1:
        hull = _hull(view, asset, upstream, keys)
        if hull is not None:
            return hull
    return _union([view.upstream_keys(asset, upstream, key).keys for key in keys])


def _hull(view: PartitionView, asset: str, upstream: str, keys: KeySlice[Any]) -> Sequence[Any] | None:
    """What consecutive keys need, from the first and the last of them, where the mapping leaves no holes."""
    mapping, upstream_set = view.graph.mapping_of(asset, upstream), view.set_of(upstream)
    if isinstance(mapping, SameKey):
        return _common(keys, upstream_set)
    if upstream_set is None or not isinstance(mapping, InnerKeys | ContainingKey):
        return None
    first = view.upstream_keys(asset, upstream, keys[0]).keys
    last = view.upstream_keys(asset, upstream, keys[-1]).keys
    if not (isinstance(first, KeySlice) and isinstance(last, KeySlice)):
        return None
    # Where the upstream set ends earlier, they are empty and stand beyond its end.
    size = upstream_set.size
    return KeySlice(upstream_set, min(first.start, size), min(last.stop, size))


def _common(keys: KeySlice[Any], upstream: PartitionSet[Any] | None) -> Sequence[Any] | None:
    """Those of consecutive periods that a set of the same kind of periods has, by their numbers."""
    if not (isinstance(keys.set, TimePartitions) and isinstance(upstream, TimePartitions)):
        return None
    first, last = keys.set.number_of(keys[0]), keys.set.number_of(keys[-1])
    assert first is not None
    assert last is not None
    start, stop = upstream.numbered(first, last)
    return KeySlice(upstream, min(start, upstream.size), min(stop, upstream.size))


def _union(parts: list[Sequence[Any]]) -> Sequence[Any]:
    """All keys of several sequences: a slice where they are one, in the order of the set where they have one."""
    first = parts[0] if parts else ()
    if len(parts) == 1 and isinstance(first, KeySlice | KeyList):
        return first
    if all(part is first or part == first for part in parts[1:]):
        return first if isinstance(first, KeySlice | KeyList) else KeyList(first)
    slices = [part for part in parts if isinstance(part, KeySlice)]
    if len(slices) == len(parts) and all(part.set == slices[0].set for part in slices):
        return _union_of_slices(slices)
    return KeyList(key for part in parts for key in part)


def _union_of_slices(slices: list[KeySlice[Any]]) -> Sequence[Any]:
    merged: list[tuple[int, int]] = []
    for start, stop in sorted((part.start, part.stop) for part in slices):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(stop, merged[-1][1]))
        else:
            merged.append((start, stop))
    if len(merged) == 1:
        return KeySlice(slices[0].set, *merged[0])
    return KeyList(key for start, stop in merged for key in KeySlice(slices[0].set, start, stop))
