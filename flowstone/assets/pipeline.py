"""A pipeline: a named collection of assets, and the decorator that fills it.

Map of this file
    asset, route, value     what defines an asset
    pool, rate              what limits how many run, and how often
    include, graph          pipelines together, and the checked whole
    _define ... _add        a definition taken in, or put in place of what a notebook's cell has defined

What happens by itself is defined by the base class, in `automation/pipeline_automations.py`.
"""

from __future__ import annotations

import sys
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar, overload

from flowstone.assets.arguments import is_stored_name
from flowstone.assets.automation.decorators import line_of
from flowstone.assets.automation.definitions import merge_automations
from flowstone.assets.automation.pipeline_automations import PipelineAutomations
from flowstone.assets.definition import Options, define_asset, define_constant
from flowstone.assets.graph import AssetGraph, merge
from flowstone.assets.interactive import Cells
from flowstone.assets.pool import define_pool, merge_pools
from flowstone.assets.rate import define_rate, merge_rates
from flowstone.counting import count
from flowstone.errors import DefinitionError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from types import FrameType

    from flowstone.assets.asset import Asset, RunIn
    from flowstone.assets.automation.condition import Automation
    from flowstone.assets.automation.freshness import Freshness
    from flowstone.assets.each import Each
    from flowstone.assets.partition_mapping import PartitionMapping
    from flowstone.assets.partition_set import PartitionSet
    from flowstone.assets.pool import DefinedPool
    from flowstone.assets.rate import DefinedRate
    from flowstone.assets.retry import Retry

__all__ = ["Pipeline"]

P = ParamSpec("P")
R = TypeVar("R")


class Pipeline(PipelineAutomations):
    """A named collection of assets; plain data that any number of runtimes may share.

    Args:
        name: A name to recognise it by; default "default".

    Raises:
        DefinitionError: The name is empty, longer than 200 characters, or no text.
    """

    def __init__(self, name: str = "default") -> None:
        if not is_stored_name(name):
            raise DefinitionError(
                f"Pipeline({name!r:.100}) takes a name, a non-empty str of at most 200 characters."
            )
        super().__init__()
        self.name = name
        self._graph: AssetGraph | None = None
        self._pools: dict[str, DefinedPool] = {}
        self._rates: dict[str, DefinedRate] = {}

    @overload
    def asset(self, function: Callable[P, R], /) -> Asset[P, R]: ...

    @overload
    def asset(
        self,
        /,
        *,
        name: str | None = None,
        deps: Iterable[str | Asset[..., Any]] = (),
        partitions: PartitionSet[Any] | None = None,
        mappings: Mapping[str, PartitionMapping] | None = None,
        io: str = "default",
        requires: Iterable[str] = (),
        retry: Retry | None = None,
        timeout: float | None = None,
        run_in: RunIn | None = None,
        version: str | None = None,
        tags: Mapping[str, str] | None = None,
        description: str | None = None,
        each: str | Asset[..., Any] | Each | None = None,
        pool: str | Mapping[str, int] | None = None,
        rate: str | None = None,
        automation: Automation | None = None,
        freshness: Freshness | None = None,
    ) -> Callable[[Callable[P, R]], Asset[P, R]]: ...

    def asset(
        self,
        function: Callable[..., Any] | None = None,
        /,
        *,
        name: str | None = None,
        deps: Iterable[str | Asset[..., Any]] = (),
        partitions: PartitionSet[Any] | None = None,
        mappings: Mapping[str, PartitionMapping] | None = None,
        io: str = "default",
        requires: Iterable[str] = (),
        retry: Retry | None = None,
        timeout: float | None = None,
        run_in: RunIn | None = None,
        version: str | None = None,
        tags: Mapping[str, str] | None = None,
        description: str | None = None,
        each: str | Asset[..., Any] | Each | None = None,
        pool: str | Mapping[str, int] | None = None,
        rate: str | None = None,
        automation: Automation | None = None,
        freshness: Freshness | None = None,
    ) -> Any:
        """Define an asset by the function that computes it: `@pipeline.asset` or `@pipeline.asset(…)`.

        A parameter called `context` or annotated `Context` receives the context, one annotated
        `Annotated[T, Resource]` a resource, one annotated with a subclass of `Config` the config; every other one
        is a dependency, optional if it has a default.

        A cell of a notebook that is run again replaces the asset it has defined, here and in the pipelines that
        include this one. A runtime that is open goes on with what it has, and refuses to run a newer one.

        Args:
            function: The function, where the decorator is used without options.
            name: Default: the function's name.
            deps: Further assets this one comes after; their values are not loaded.
            partitions: The asset's partition set; default: any key, or none.
            mappings: Keys of a dependency that one key needs, by its name; default: see `mapping_rules`.
            io: Name of the IO manager that keeps the value.
            requires: Names of resources it needs besides those of its parameters.
            retry: What happens after a failure; default: nothing, one attempt.
            timeout: Seconds one attempt may take; default: no limit.
            run_in: "loop", "thread" or "process"; default: the loop for `async def`, else a thread.
            version: Version of the code; change it when the meaning of the value changes.
            tags: Free labels.
            description: Default: the first line of the docstring.
            each: The upstream asset of which the function takes one item at a time, or an `Each` that says more.
            pool: The pool of which it takes a slot while it runs, or how many slots it takes of each of several.
            rate: The rate it keeps to: how often it may start.
            automation: When it is computed by itself, in a runtime that drives automations.
            freshness: How old its newest value may become before that is told, as an event.

        Raises:
            DefinitionError: The definition cannot work; the message names the asset and its line.
        """
        options = Options(
            name,
            deps,
            partitions,
            mappings,
            io,
            requires,
            retry,
            timeout,
            run_in,
            version,
            tags,
            description,
            each,
            pool,
            rate,
            automation,
            freshness,
        )
        if function is not None:
            return self._define(function, options, sys._getframe(1))
        return lambda decorated: self._define(decorated, options, sys._getframe(1))

    def route(
        self,
        /,
        *,
        to: Iterable[str | Asset[..., Any]],
        name: str | None = None,
        partitions: PartitionSet[Any] | None = None,
        mappings: Mapping[str, PartitionMapping] | None = None,
        retry: Retry | None = None,
        timeout: float | None = None,
        run_in: RunIn | None = None,
        **options: Any,
    ) -> Callable[[Callable[P, R]], Asset[P, R]]:
        """Define a route: an asset whose function chooses which of some assets run.

        The function returns the name of one of them, a list of names, or None. Those that are not chosen are
        skipped by choice. Each of the assets comes after the route, and needs to be chosen for the same partition.
        The choice is made once in a run for each partition, and recorded with the value.

        Args:
            to: The assets of which it chooses.
            name: As for `asset`.
            partitions: As for `asset`.
            mappings: As for `asset`.
            retry: As for `asset`.
            timeout: As for `asset`.
            run_in: As for `asset`.
            options: Any other option of `asset`, but `each`.

        Raises:
            DefinitionError: The definition cannot work; the message names the asset and its line.
        """
        given_to: Any = to  # None would make it an asset like others.
        options |= {"name": name, "partitions": partitions, "mappings": mappings, "retry": retry}
        options["to"] = () if given_to is None else to
        given: Any = Options(timeout=timeout, run_in=run_in, **options)
        define: Any = lambda decorated: self._define(decorated, given, sys._getframe(1))  # noqa: E731 - its frame counts
        return define  # type: ignore[no-any-return] # as the overloads of `asset` say

    def value(
        self, name: str, value: R, *, description: str | None = None, tags: Mapping[str, str] | None = None
    ) -> Asset[[], R]:
        """Define a constant: an asset that has this value without being computed.

        Args:
            name: The asset's name.
            value: Its value; None is a value.
            description: What it is.
            tags: Free labels.

        Raises:
            DefinitionError: The name is invalid or taken, or the value can be read only once.
        """
        frame = sys._getframe(1)
        asset = define_constant(name, value, frame, description=description, tags=tags)
        self._take(asset, frame)
        return asset

    def pool(self, name: str, *, slots: int) -> None:
        """Define a pool: assets with `pool=name` run at most so many at a time, in all runs together.

        Define it before the assets that take slots of it. Its slots can be set while a runtime runs:
        `Runtime.set_pool`.

        Args:
            name: The pool's name.
            slots: How many slots it has, at least 1.

        Raises:
            DefinitionError: The name is no name, there are no slots, or the pool has been defined with another
                number of them.
        """
        frame = sys._getframe(1)
        pool = define_pool(name, slots, line_of(frame))
        merge_pools(self._pools, {pool.name: pool})

    def rate(self, name: str, *, limit: int, per: float = 1.0) -> None:
        """Define a rate: assets with `rate=name` start at most so often, in all runs together, at even intervals.

        Within a function, `async with context.limit(name):` waits for a turn. Define it before the assets.

        Args:
            name: The rate's name.
            limit: How many turns there are in `per` seconds, at least 1.
            per: Seconds.

        Raises:
            DefinitionError: The name is no name, the rate cannot be kept, or it has been defined differently.
        """
        frame = sys._getframe(1)
        rate = define_rate(name, limit, per, line_of(frame))
        merge_rates(self._rates, {rate.name: rate})

    def include(self, other: Pipeline) -> None:
        """Add the assets, pools, rates and automations that another pipeline has now; what is here stays once.

        Raises:
            DuplicateAsset: Another asset here has the name of one there.
            DefinitionError: `other` is no pipeline, or has a pool, a rate or an automation of the name of one here,
                but another one, or a decorator of an automation that decorates nothing.
        """
        if not isinstance(other, Pipeline):
            raise DefinitionError(f"include() takes a Pipeline, not {type(other).__name__}.")
        pools = dict(self._pools)
        merge_pools(pools, other._pools)
        rates = dict(self._rates)
        merge_rates(rates, other._rates)
        automations = dict(self._automations)
        merge_automations(automations, other.automations)
        self._add(other._assets.values())
        self._pools, self._rates, self._automations = pools, rates, automations
        if not any(pipeline is self for pipeline in other._included_in):
            other._included_in.append(self)

    @property
    def assets(self) -> Mapping[str, Asset[..., Any]]:
        """The assets by name, in the order of definition; a read-only view."""
        return MappingProxyType(self._assets)

    @property
    def pools(self) -> Mapping[str, DefinedPool]:
        """The pools by name; a read-only view."""
        return MappingProxyType(self._pools)

    @property
    def rates(self) -> Mapping[str, DefinedRate]:
        """The rates by name; a read-only view."""
        return MappingProxyType(self._rates)

    @property
    def graph(self) -> AssetGraph:
        """The checked graph of the assets; built when first asked for, and again after a change.

        Raises:
            DefinitionError: The assets do not fit together: an unknown dependency, a cycle, types or
                partitions that cannot match; or a decorator of an automation decorates nothing.
        """
        self._decorators.check()
        if self._graph is None:
            self._graph = AssetGraph(self._assets.values())
        return self._graph

    def __len__(self) -> int:
        return len(self._assets)

    def __bool__(self) -> bool:
        return True

    def __contains__(self, name: object) -> bool:
        return name in self._assets

    def __getstate__(self) -> dict[str, Any]:
        return {
            **self.__dict__,
            "_cells": Cells(),
        }  # Code, which cannot be pickled, and is of this session only.

    def __repr__(self) -> str:
        return f"Pipeline({self.name!r}, {count(len(self._assets), 'asset')})"

    def _define(self, function: Callable[..., Any], options: Options, frame: FrameType) -> Asset[..., Any]:
        asset = define_asset(function, options, frame, self._pools, self._rates)
        self._take(asset, frame)
        return asset

    def _take(self, asset: Asset[..., Any], frame: FrameType) -> None:
        """Add what was defined here, in place of what the same cell of a notebook has defined before."""
        with self._cells.definition(("asset", asset.name), frame, asset.source) as again:
            if again:
                asset.__dict__.setdefault("pipeline", self)
                self._replace(self._assets[asset.name], asset)
            else:
                self._add((asset,))

    def _replace(self, old: Asset[..., Any], new: Asset[..., Any]) -> None:
        """Here, and wherever the old one was included."""
        if self._assets.get(old.name) is old:
            self._assets[old.name] = new
            self._graph = None
            for pipeline in self._included_in:
                pipeline._replace(old, new)

    def _add(self, assets: Iterable[Asset[..., Any]]) -> None:
        assets = tuple(assets)
        merge(self._assets, assets)
        for asset in assets:
            asset.__dict__.setdefault("pipeline", self)
        self._graph = None
