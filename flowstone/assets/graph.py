"""The graph of assets: immutable, checked when it is built, and the answer to every question about order.

Map of this file
    merge                 assets together by name, or a refusal
    AssetGraph            order, ancestors, descendants, pictures
    AssetGraph._linked    ... _bound: what is refused when one is built
    _unknown_dependency   the sentence about a dependency on what does not exist
"""

from __future__ import annotations

import inspect
from collections import deque
from dataclasses import replace
from heapq import heapify, heappop, heappush
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from flowstone.assets.asset import Asset, Dependency
from flowstone.assets.drawing import to_ascii, to_dot, to_mermaid
from flowstone.assets.mapping_rules import default_mapping
from flowstone.assets.partition_mapping import NoPartition, SameKey
from flowstone.assets.suggest import did_you_mean
from flowstone.assets.time_offset import Shifted
from flowstone.assets.type_hints import unknown_names
from flowstone.assets.typecheck import check_types
from flowstone.counting import count
from flowstone.errors import (
    AssetNotFound,
    CycleError,
    DefinitionError,
    DuplicateAsset,
    PartitionError,
    UnknownDependency,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from flowstone.assets.partition_mapping import PartitionMapping

__all__ = ["AssetGraph", "merge"]

AnyAsset: TypeAlias = Asset[..., Any]

_CONFIGS = frozenset({"config", "cfg", "settings", "options", "params", "parameters"})
"""What a parameter for settings is called by those who know it from elsewhere."""

_LONGEST_DEFAULT = 40  # Characters of a default that a message repeats.


def merge(into: dict[str, AnyAsset], assets: Iterable[AnyAsset]) -> None:
    """Add assets to a mapping by name, all of them or none; the very same asset may come again.

    Raises:
        DuplicateAsset: Two different assets have one name; the message names both lines.
    """
    added: dict[str, AnyAsset] = {}
    for asset in assets:
        present = into.get(asset.name) or added.setdefault(asset.name, asset)
        if present is not asset:
            raise DuplicateAsset(
                f"Asset {asset.name!r} is defined twice, at {present.source} and at {asset.source}: "
                f"rename one, or include the shared pipeline instead of copying it."
            )
    into.update(added)


class AssetCollection(Protocol):
    """What a graph is made of: a pipeline."""

    @property
    def assets(self) -> Mapping[str, AnyAsset]: ...

    @property
    def graph(self) -> AssetGraph: ...


class AssetGraph:
    """Assets and what they depend on. Build a new one to change anything.

    Args:
        assets: The assets; their order decides wherever dependencies do not.

    Attributes:
        assets: The assets by name.
        configured: The names of those that take a config.

    Raises:
        DuplicateAsset: Two assets have one name.
        UnknownDependency: A dependency names no asset.
        CycleError: Assets depend on each other in a circle; on its own earlier partitions an asset may depend.
        TypeMismatch: A value can never be what the parameter that receives it is annotated as.
        DefinitionError: The partitions of two assets have no mapping between them.
    """

    __slots__ = (
        "_assets",
        "_dependents",
        "_mappings",
        "_order",
        "_rank",
        "assets",
        "chooses",
        "configured",
        "limited",
        "scatters",
    )

    assets: Mapping[str, AnyAsset]
    chooses: bool
    """Whether any asset takes something else of another one than its value."""
    configured: tuple[str, ...]
    limited: frozenset[str]
    """The assets whose steps need slots of pools or turns of rates; where items do, the step does not."""
    scatters: frozenset[str]
    """The assets that go through the items of another one, and those that take their values."""

    def __init__(self, assets: Iterable[AnyAsset]) -> None:
        self._assets: dict[str, AnyAsset] = {}
        merge(self._assets, assets)
        self.assets = MappingProxyType(self._assets)
        for route in [asset for asset in self._assets.values() if asset.routes_to]:
            for name in route.routes_to:
                self._assets[name] = _chosen_by(route, name, self._assets)
        self._dependents = self._linked()
        self._order = self._sorted()
        self._rank = {name: rank for rank, name in enumerate(self._order)}
        self._mappings = self._mapped()
        self.configured = tuple(
            [name for name in self._order if self._assets[name].config_parameter is not None]
        )
        self.limited = frozenset(
            name
            for name, asset in self._assets.items()
            if (asset.pools or asset.rate) and asset.each is None and not asset.is_reader
        )
        self.scatters = self._scattering()
        self.chooses = any(
            each.takes != "value" for asset in self._assets.values() for each in asset.dependencies
        )
        if self.chooses:
            self._check_outcomes()
        check_types(self._assets, self.mapping_of)

    @classmethod
    def of(cls, pipelines: AssetCollection | Iterable[AssetCollection]) -> AssetGraph:
        """The graph of one pipeline, or of several together; an asset that two share counts once."""
        if hasattr(pipelines, "graph"):
            return pipelines.graph
        return cls(asset for pipeline in pipelines for asset in pipeline.assets.values())

    # Questions -------------------------------------------------------------------------------------------

    def __getitem__(self, name: str) -> AnyAsset:
        """The asset of a name.

        Raises:
            AssetNotFound: There is none; the message suggests the nearest.
        """
        try:
            return self._assets[name]
        except KeyError:
            hint = did_you_mean(str(name), self._assets) or f" There are: {_few(self._order)}."
            raise AssetNotFound(f"There is no asset {name!r:.250}.{hint}") from None

    def __contains__(self, name: object) -> bool:
        return name in self._assets

    def __len__(self) -> int:
        return len(self._assets)

    def __iter__(self) -> Iterator[str]:
        return iter(self._assets)

    def order(self) -> list[str]:
        """All names, each after everything it depends on; otherwise in the order of definition."""
        return list(self._order)

    def rank(self, name: str) -> int:
        """The position of a name in `order()`."""
        self[name]
        return self._rank[name]

    def dependencies(self, name: str) -> tuple[Dependency, ...]:
        """What an asset depends on directly."""
        return self[name].dependencies

    def dependents(self, name: str) -> tuple[str, ...]:
        """The assets that depend directly on one, in the order of definition."""
        self[name]
        return tuple(self._dependents[name])

    def upstream(self, name: str) -> list[str]:
        """Everything an asset depends on, directly or not, in topological order; without itself."""
        return self._reachable(name, self._needed_by)

    def with_upstream(self, names: Iterable[str]) -> list[str]:
        """These and everything they depend on, directly or not, in topological order."""
        names = tuple(names)
        return self._in_order({*names, *self._reached(names, self._needed_by)})

    def needed(self, names: Iterable[str]) -> frozenset[str]:
        """These, and everything upstream whose failure reaches one: not what is only taken as an `Outcome`."""
        names = tuple(names)
        values = self._reached(
            names,
            lambda each: [dep.asset for dep in self._assets[each].dependencies if dep.takes != "outcome"],
        )
        return frozenset(values.union(names))

    def downstream(self, name: str) -> list[str]:
        """Everything that depends on an asset, directly or not, in topological order; without itself."""
        return self._reachable(name, self._dependents.__getitem__)

    def mapping(self, asset: str, dependency: str) -> PartitionMapping:
        """The bound mapping from the keys of an asset to those of one of its dependencies.

        Raises:
            AssetNotFound: There is no such asset, or it has no such dependency.
        """
        if not any(each.asset == dependency for each in self[asset].dependencies):
            raise AssetNotFound(f"Asset {asset!r} does not depend on {dependency!r}.")
        return self.mapping_of(asset, dependency)

    def mapping_of(self, asset: str, dependency: str) -> PartitionMapping:
        """As `mapping`, for a dependency known to exist."""
        return self._mappings.get((asset, dependency), _SAME_KEY)

    def needs_same_keys(self, asset: str, dependency: str) -> bool:
        """Whether every key of an asset needs just the same key of a dependency, whose set is the same."""
        if type(self._mappings.get((asset, dependency), _SAME_KEY)) is not SameKey:
            return False
        mine, theirs = self._assets[asset].partitions, self._assets[dependency].partitions
        return mine is theirs or mine == theirs

    # Drawings --------------------------------------------------------------------------------------------

    def to_mermaid(self) -> str:
        """The graph as a Mermaid flow chart."""
        return to_mermaid(self._edges())

    def to_dot(self) -> str:
        """The graph in the DOT language of Graphviz."""
        return to_dot(self._edges())

    def to_ascii(self) -> str:
        """The graph as a tree of text, each asset once."""
        return to_ascii(self._edges())

    def _edges(self) -> dict[str, tuple[Dependency, ...]]:
        return {name: self._assets[name].dependencies for name in self._order}

    def __repr__(self) -> str:
        return (
            f"AssetGraph({count(len(self), 'asset')}: {_few(self._order)})"
            if self._assets
            else "AssetGraph(no assets)"
        )

    # Building --------------------------------------------------------------------------------------------

    def _linked(self) -> dict[str, list[str]]:
        """The direct dependents of each asset."""
        dependents: dict[str, list[str]] = {name: [] for name in self._assets}
        for name, asset in self._assets.items():
            for dependency in asset.dependencies:
                if dependency.asset not in dependents:
                    raise UnknownDependency(_unknown_dependency(asset, dependency, self._assets))
                if dependency.asset != name:
                    dependents[dependency.asset].append(name)
        return dependents

    def _sorted(self) -> list[str]:
        """The smallest topological order by position of definition (Kahn's algorithm with a heap)."""
        names = list(self._assets)
        position = {name: i for i, name in enumerate(names)}
        needs = [asset.dependencies for asset in self._assets.values()]
        # Nearly every pipeline defines what it uses first; then the order of definition is the answer.
        if all(position[each.asset] < i for i, some in enumerate(needs) if some for each in some):
            return names
        waiting = [sum(position[each.asset] != i for each in some) for i, some in enumerate(needs)]
        ready = [i for i, count in enumerate(waiting) if not count]
        heapify(ready)
        order = []
        while ready:
            name = names[heappop(ready)]
            order.append(name)
            for dependent in self._dependents[name]:
                i = position[dependent]
                waiting[i] -= 1
                if not waiting[i]:
                    heappush(ready, i)
        if len(order) < len(names):
            raise self._cycle(set(names) - set(order))
        return order

    def _cycle(self, stuck: set[str]) -> CycleError:
        """The error for assets that wait for each other, with one whole circle of them."""
        name = next(name for name in self._assets if name in stuck)
        path: list[str] = []
        seen: dict[str, int] = {}
        # Each stuck asset has a stuck dependency, so walking from one to the next must come back.
        while name not in seen:
            seen[name] = len(path)
            path.append(name)
            needs = (each.asset for each in self._assets[name].dependencies)
            name = next(each for each in needs if each in stuck and each != name)
        circle = [*path[seen[name] :], name]
        places = ", ".join(f"{each} at {self._assets[each].source}" for each in circle[:-1][:20])
        return CycleError(
            f"Assets depend on each other in a circle: {' -> '.join(circle)} ({places}). Each needs the next "
            f"one; remove one of these dependencies.",
            circle,
        )

    def _mapped(self) -> dict[tuple[str, str], PartitionMapping]:
        """The bound mapping of every dependency that is not simply the same key."""
        mappings: dict[tuple[str, str], PartitionMapping] = {}
        for asset in self._assets.values():
            for dependency in asset.dependencies:
                upstream = self._assets[dependency.asset]
                plain = not (asset.mappings or upstream.is_constant or upstream is asset)
                if plain and upstream.partitions is None and asset.partitions is None:
                    continue
                mapping = self._bound(asset, upstream)
                if upstream is asset and not (isinstance(mapping, Shifted) and mapping.offset.looks_back):
                    raise _needs_itself(asset)
                if mapping is not _SAME_KEY:
                    mappings[asset.name, upstream.name] = mapping
        return mappings

    def _scattering(self) -> frozenset[str]:
        found = [asset for asset in self._assets.values() if asset.each is not None]
        for asset in found:
            assert asset.each is not None
            source = self._assets[asset.each.source]
            if source.each is not None:
                raise DefinitionError(
                    f"Asset {asset.name!r} ({asset.source}) goes through the items of {source.name!r} "
                    f"({source.source}), which goes through those of {source.each.source!r} itself: do both in one "
                    f"function, or put an asset between them that returns a list."
                )
        found += [asset for asset in self._assets.values() if asset.is_reader]
        return frozenset(name for asset in found for name in (asset.name, *self._dependents[asset.name]))

    def _check_outcomes(self) -> None:
        for asset in self._assets.values():
            for dependency in asset.dependencies:
                if (
                    dependency.takes != "outcome"
                    or self.mapping_of(asset.name, dependency.asset).many is not True
                ):
                    continue
                raise DefinitionError(self.refused_outcome(asset, dependency))

    def refused_outcome(self, asset: AnyAsset, dependency: Dependency) -> str:
        """Why an asset cannot take the outcome of a dependency of which it needs many partitions."""
        several = self.mapping_of(asset.name, dependency.asset).many is None
        other = "Ask for one partition, give" if several else "Give"
        return (
            f"Asset {asset.name!r} ({asset.source}) takes the Outcome of {dependency.asset!r}, of which it "
            f"needs many partitions: an Outcome is that of one step. {other} the parameter a default, with "
            f"which it takes those that are there, or put an asset of the same partitions between them."
        )

    def _bound(self, asset: AnyAsset, upstream: AnyAsset) -> PartitionMapping:
        declared = asset.mappings.get(upstream.name)
        try:
            if declared is not None:
                return declared.bind(upstream.partitions, asset.partitions)
            if upstream.is_constant:
                return NoPartition()
            return default_mapping(upstream.partitions, asset.partitions)
        except PartitionError as reason:
            said = (
                f"mappings={{{upstream.name!r}: {declared!r}}} cannot work"
                if declared
                else "no default applies"
            )
            raise DefinitionError(
                f"Asset {asset.name!r} ({asset.source}), {_partitioned(asset)}, depends on "
                f"{upstream.name!r} ({upstream.source}), {_partitioned(upstream)}, and {said}: {reason}. "
                f"Say which keys it needs, for example with mappings={{{upstream.name!r}: AllPartitions()}}."
            ) from reason

    def _reachable(self, name: str, neighbours: Callable[[str], Iterable[str]]) -> list[str]:
        return self._in_order(self._reached((name,), neighbours) - {name})

    def _reached(self, names: Iterable[str], neighbours: Callable[[str], Iterable[str]]) -> set[str]:
        queue = deque(names)
        for name in queue:
            self[name]
        found: set[str] = set()
        while queue:
            for each in neighbours(queue.popleft()):
                if each not in found:
                    found.add(each)
                    queue.append(each)
        return found

    def _needed_by(self, name: str) -> list[str]:
        return [dependency.asset for dependency in self._assets[name].dependencies]

    def _in_order(self, names: Iterable[str]) -> list[str]:
        return sorted(names, key=self._rank.__getitem__)


_SAME_KEY = SameKey()


def _chosen_by(route: AnyAsset, name: str, assets: Mapping[str, AnyAsset]) -> AnyAsset:
    """An asset of a route as it is in the graph: it depends on being chosen."""
    branch = assets.get(name)
    if branch is None:
        hint = (
            did_you_mean(name, (each for each in assets if each != route.name)) or " Define it, or remove it."
        )
        raise UnknownDependency(
            f"The route {route.name!r} ({route.source}) leads to {name!r}, but there is no such asset.{hint}"
        )
    leads = f"The route {route.name!r} ({route.source}) leads to {name!r} ({branch.source})"
    if branch.is_constant:
        raise DefinitionError(
            f"{leads}, which is always there: let an asset take its value, and lead to that."
        )
    own = [each for each in branch.dependencies if each.asset == route.name and each.parameter is not None]
    if any(each.takes == "outcome" for each in own):
        raise DefinitionError(
            f"{leads}, which takes its Outcome, but runs only if it is chosen: let it take the value, which says "
            f"who is chosen, or nothing of the route."
        )
    others = [each for each in branch.dependencies if each.asset != route.name]
    choice = replace(own[0], takes="choice") if own else Dependency(route.name, None, takes="choice")
    chosen = replace(branch, dependencies=(*others, choice))
    chosen.__dict__.update({"pipeline": branch.__dict__["pipeline"]} if "pipeline" in branch.__dict__ else {})
    return chosen


def _needs_itself(asset: AnyAsset) -> CycleError:
    name = asset.name
    return CycleError(
        f"Assets depend on each other in a circle: {name} -> {name} ({name} at {asset.source}). An asset may "
        f"depend on its own earlier partitions, by a TimeOffset that looks back: "
        f"mappings={{{name!r}: TimeOffset(days=-1)}}.",
        (name, name),
    )


def _partitioned(asset: AnyAsset) -> str:
    """How an asset is partitioned, in words."""
    return "without partitions" if asset.partitions is None else f"partitioned by {asset.partitions!r}"


def _few(names: Sequence[str]) -> str:
    """The first names of many."""
    return ", ".join(names[:10]) + (f" and {len(names) - 10:,} more" if len(names) > 10 else "")


def _unknown_dependency(asset: AnyAsset, dependency: Dependency, names: Iterable[str]) -> str:
    """The sentence about a dependency that names none of the assets, and what to do."""
    way = "deps=" if dependency.parameter is None else "its parameter"
    hint = did_you_mean(dependency.asset, (name for name in names if name != asset.name))
    remedy = (
        "" if hint else " Define it, include its pipeline, or annotate a resource Annotated[…, Resource]."
    )
    # A default makes an input optional, where many expect that it makes the parameter a setting.
    setting = ""
    if not hint and _may_be_config(dependency):
        name = f"{asset.name.title().replace('_', '')}Config"
        setting = (
            f" If runs are to set it, annotate the parameter with a class of your own, `class {name}(Config)`, of "
            f"which the fields can be set."
        )
    elif dependency.optional:
        value = f'pipeline.value("{dependency.asset}", {_default(asset, dependency)})'
        setting = f" If it is a setting, define its value: {value}."
    unresolved = "" if hint else _unresolved(dependency.annotation)
    return (
        f"Asset {asset.name!r} ({asset.source}) depends through {way} on {dependency.asset!r}, but there is no "
        f"such asset.{hint}{unresolved}{setting}{remedy}"
    )


def _may_be_config(dependency: Dependency) -> bool:
    """Whether a parameter looks like one that takes settings: by its name, or a model that is no `Config`."""
    annotation = dependency.annotation
    return dependency.parameter in _CONFIGS or (
        isinstance(annotation, type) and hasattr(annotation, "model_fields")
    )


def _unresolved(annotation: Any) -> str:
    """What to say of an annotation that cannot be resolved: it may have meant no asset at all."""
    names = " or ".join(dict.fromkeys(unknown_names(annotation)))
    if not names:
        return ""
    return (
        f" Its annotation could not be resolved: at run time there is no {names}, as after an import under "
        f"`if TYPE_CHECKING:`. If it stands for Context or a resource, import it at run time."
    )


def _default(asset: AnyAsset, dependency: Dependency) -> str:
    """The default of the dependency's parameter as it is written, if that is short."""
    parameter = inspect.signature(asset.function).parameters[dependency.parameter or dependency.asset]
    try:
        shown = repr(parameter.default)
    except Exception:
        return "…"
    return shown if len(shown) <= _LONGEST_DEFAULT and shown.isprintable() else "…"
