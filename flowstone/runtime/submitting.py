"""The calls of `Runtime` that start a run and do not wait for it, and those that say what a run would do.

submit, submit_backfill     start a run and return its handle
plan                        starts none; run_plan starts what it says

arguments       checked and turned into a request: client/requests.py
run             client/run_client.py starts it, or leaves it to any node, once if it has to be: client/once.py
"""

from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from flowstone.errors import AssetNotFound, ConfigError, DefinitionError, PartitionError, PlanOutdated
from flowstone.remedies import Remedies
from flowstone.runs.planner import plan_run
from flowstone.runs.targets import targets_label, targets_of
from flowstone.runtime.client.handle import Run
from flowstone.runtime.client.once import checked_once, words_of
from flowstone.runtime.client.preview import preview
from flowstone.runtime.client.requests import (
    assets_to_run,
    backfill_request,
    checked_key,
    checked_priority,
    checked_tags,
    run_request,
)
from flowstone.runtime.limits import Limits
from flowstone.runtime.run.redefinition import check_request

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from flowstone.assets.config import Config
    from flowstone.assets.partition_view import PartitionView
    from flowstone.runs.records import Refresh, RunSpec
    from flowstone.runtime.client.plan import Plan
    from flowstone.runtime.context import RuntimeContext

__all__ = ["Submitting"]

_NO_TAGS: Mapping[str, str] = MappingProxyType({})
_ONE_OR_MANY: Final = Remedies(
    "Say partition=, or partitions=, or start= and end=.",
    http="Give `partition`, or `partitions`, or `start` and `end`.",
)
_AGAIN: Final = Remedies(
    "Plan it again, and look at it.", http="Plan it again with `POST /api/v1/plan`, and look at it."
)


class Submitting(Limits):
    """The calls of `Runtime` that return a handle, or a plan."""

    async def submit(
        self,
        asset: Any,
        *,
        partition: Any = None,
        upstream: bool = True,
        refresh: Refresh = "all",
        max_parallel: int | None = None,
        timeout: float | None = None,
        config: Mapping[str, Any] | Config | None = None,
        tags: Mapping[str, str] = _NO_TAGS,
        by: str | None = None,
        key: str | None = None,
        priority: int = 0,
        join: bool = False,
        once: str | None = None,
    ) -> Run:
        """Start what `materialize_all` would do and return its handle at once; on a store that lasts, durably.

        With `upstream=False` it starts what `materialize` would do: the assets alone.

        Args:
            asset: Name, `Asset` or decorated function; or several: a selection (see `select`), or a list.
            partition: Which partition, as in `materialize`; upstream partitions follow from the mappings.
            upstream: Whether everything upstream is computed as well.
            refresh: `all` computes everything; `missing` reuses values that exist; `stale` reuses fresh ones.
            max_parallel: Steps at a time. Default: `max_concurrency`.
            timeout: Seconds until the run is cancelled. Default: none.
            config: Fields of the asset's config, or a `Config`; by asset as soon as a key names one.
            tags: Labels of the run.
            by: Who asks for it. Default: whoever the runtime acts for (`actor=`).
            key: Text of at most 200 characters. While an unfinished run has the same key no other one is started:
                the handle of that run is returned, whatever else is asked for. Default: none.
            priority: Of the runs that wait for a node, those of higher priority are taken first. Default: 0.
            join: Whether to return the handle of a run that is under way for the same request, if there is one. It
                goes on from then on whoever waits for it, as one that was submitted.
            once: Text of at most 200 characters: whoever submits the same again with it is given the run that there
                is, whether that has ended or not, as long as it is remembered. Not with `key` or `join`.

        Returns:
            The handle of the run; its `wait()` raises what failed.

        Raises:
            AssetNotFound: There is no such asset.
            SelectionError: The selection cannot be read, or names what there is not.
            ConfigError: The config does not fit, or a required field is missing.
            DependencyNotReady: With `upstream=False` and `refresh="all"`: an upstream has no value.
            PartitionError: The partition is missing or foreign, or the assets have different ones.
            ArgumentError: `key`, `priority` or `once` is out of range, or something else was submitted with `once`.
            RuntimeStopping: The runtime drains.
        """
        view, request = await self._run_request(
            asset,
            partition=partition,
            upstream=upstream,
            refresh=refresh,
            max_parallel=max_parallel,
            timeout=timeout,
            config=config,
            tags=tags,
            by=by,
        )
        words = None if once is None else words_of(request, priority, None)
        return await self._submit(view, request, key, priority, join=join, once=(once, words))

    async def submit_backfill(
        self,
        asset: Any,
        *,
        partitions: Iterable[Any] | None = None,
        start: Any = None,
        end: Any = None,
        max_parallel: int | None = 4,
        upstream: bool = False,
        refresh: Refresh = "missing",
        config: Mapping[str, Any] | Config | None = None,
        tags: Mapping[str, str] = _NO_TAGS,
        by: str | None = None,
        key: str | None = None,
        priority: int = 0,
        once: str | None = None,
    ) -> Run:
        """Start what `backfill` would do and return its handle at once; on a store that lasts, durably.

        Args:
            asset: Name, `Asset` or decorated function; or several: a selection (see `select`), or a list. Those of
                them that have no partition set are computed once, where others have one.
            partitions: Which ones. Default: the whole partition set, or `start` to `end`.
            start: First partition of a range. Default: the set's first.
            end: Last partition of a range, inclusive. Default: the set's last.
            max_parallel: Steps at a time, on all nodes together. None: `max_concurrency`.
            upstream: Whether upstream assets are computed as well.
            refresh: Which existing values are reused, as in `backfill`.
            config: Fields of the asset's config, or a `Config`; by asset as soon as a key names one.
            tags: Labels of the run.
            by: Who asks for it. Default: whoever the runtime acts for (`actor=`).
            key: As in `submit`.
            priority: As in `submit`.
            once: As in `submit`.

        Returns:
            The handle of the run; its `wait()` raises what failed.

        Raises:
            AssetNotFound: There is no such asset.
            SelectionError: The selection cannot be read, or names what there is not.
            ConfigError: The config does not fit, or a required field is missing.
            PartitionError: A partition is foreign, or the asset has no partitions, or the assets different ones.
            ArgumentError: `key`, `priority` or `once` is out of range, or something else was submitted with `once`.
            RuntimeStopping: The runtime drains.
        """
        view, request = await self._backfill_request(
            asset,
            partitions=partitions,
            start=start,
            end=end,
            max_parallel=max_parallel,
            upstream=upstream,
            refresh=refresh,
            config=config,
            tags=tags,
            by=by,
        )
        ends = (start, end) if partitions is None else None
        words = None if once is None else words_of(request, priority, ends)
        return await self._submit(view, request, key, priority, once=(once, words))

    async def plan(
        self,
        asset: Any,
        *,
        partition: Any = None,
        partitions: Iterable[Any] | None = None,
        start: Any = None,
        end: Any = None,
        upstream: bool | None = None,
        refresh: Refresh | None = None,
        config: Mapping[str, Any] | Config | None = None,
        max_parallel: int | None = None,
    ) -> Plan:
        """What would run and why; nothing is executed.

        With `partitions`, `start` or `end`, or for a partitioned asset without a `partition`, it plans what
        `backfill` would do, otherwise what `materialize_all` would; so do the defaults of `upstream` and
        `refresh`. It raises what those raise for their arguments.

        Args:
            asset: Name, `Asset` or decorated function; or several: a selection (see `select`), or a list.
            partition: Which partition, as in `materialize`.
            partitions: Which ones, as in `backfill`.
            start: First partition of a range. Default: the set's first.
            end: Last partition of a range, inclusive. Default: the set's last.
            upstream: Whether upstream assets are part of it.
            refresh: Which existing values are reused: `missing`, `stale` or `all`.
            config: As in `materialize`.
            max_parallel: Steps at a time. Default: `max_concurrency`.

        Returns:
            A sequence of planned steps, computed as they are read; `run_plan` runs it.

        Raises:
            AssetNotFound: There is no such asset.
            SelectionError: The selection cannot be read, or names what there is not.
            ConfigError: The config does not fit, or a required field is missing.
            PartitionError: A partition is missing or foreign, or the assets have different ones.
        """
        ctx = self._started()
        view = await self._client.view()
        names, _ = assets_to_run(view.graph, asset)
        several = partitions is not None or start is not None or end is not None
        if several and partition is not None:
            raise PartitionError("One partition is asked for, or several, not both.", remedies=_ONE_OR_MANY)
        if several or (partition is None and _has_partitions(view, names)):
            request = backfill_request(
                view,
                names,
                partitions=partitions,
                start=start,
                end=end,
                max_parallel=max_parallel,
                upstream=bool(upstream),
                refresh=refresh or "missing",
                config=config,
                tags=_NO_TAGS,
            )
        else:
            request = run_request(
                view,
                names,
                partition=partition,
                refresh=refresh or "all",
                max_parallel=max_parallel,
                timeout=None,
                config=config,
                tags=_NO_TAGS,
                upstream=upstream is not False,
            )
        return await preview(ctx, plan_run(view.graph, view, request))

    async def run_plan(
        self,
        plan: Plan,
        *,
        tags: Mapping[str, str] = _NO_TAGS,
        by: str | None = None,
        key: str | None = None,
        priority: int = 0,
    ) -> Run:
        """Start what a plan says and return its handle at once; on a store that lasts, durably.

        The plan is looked at again: if other steps would run now, nothing is started.

        Args:
            plan: What `plan` gave, of this runtime or of another one of the same pipelines.
            tags: Labels of the run.
            by: Who asks for it. Default: whoever the runtime acts for (`actor=`).
            key: As in `submit`.
            priority: As in `submit`.

        Returns:
            The handle of the run; its `wait()` raises what failed.

        Raises:
            PlanOutdated: What would run has changed since: other values are current, or definitions are others.
            DependencyNotReady: It computes one asset alone, whatever exists, and an upstream has no value.
            ValueError: `key` or `priority` is out of range.
            RuntimeStopping: The runtime drains.
        """
        ctx = self._started()
        request = replace(plan.request, tags=checked_tags(tags), by=self._client.asker(by))
        view = (await self._client.view()).at(plan.moment)
        again = await self._looked_at(ctx, view, request)
        if again is None or not plan.runs_the_same(again):
            numbers = "" if again is None else f": {plan.to_run:,} steps would have run, now {again.to_run:,}"
            raise PlanOutdated(
                f"What would run has changed since the plan of {targets_label(request)} was made{numbers}.",
                again,
                remedies=_AGAIN,
            )
        return await self._submit(view, request, key, priority)

    # Inside -------------------------------------------------------------------------------------------------

    async def _looked_at(self, ctx: RuntimeContext, view: PartitionView, request: RunSpec) -> Plan | None:
        """The plan of a request of earlier, as it is now; None where today's definitions have none for it."""
        try:
            check_request(view, request)
            return await preview(ctx, plan_run(view.graph, view, request))
        except (AssetNotFound, ConfigError, DefinitionError, PartitionError):
            return None

    async def _submit(
        self,
        view: PartitionView,
        request: RunSpec,
        key: str | None,
        priority: int,
        *,
        join: bool = False,
        once: tuple[str | None, str | None] = (None, None),
    ) -> Run:
        key, priority = checked_key(key), checked_priority(priority)

        async def start(run_id: str | None = None) -> tuple[str, bool]:
            if request.kind == "materialize" and request.refresh == "all":
                await self._client.check_ready(view, request)
            return await self._client.submit(view, request, key, priority, join=join, run_id=run_id)

        name, words = checked_once(once[0], key, join=join), once[1]
        started = start() if name is None or words is None else self._client.once.run(name, words, start)
        run_id, submitted = await started
        return Run(run_id, self._client, submitted=submitted)

    async def _run_request(
        self, asset: Any, *, by: str | None, **options: Any
    ) -> tuple[PartitionView, RunSpec]:
        self._started()
        by, view = self._client.asker(by), await self._client.view()
        return view, run_request(view, assets_to_run(view.graph, asset)[0], by=by, **options)

    async def _backfill_request(
        self, asset: Any, *, by: str | None, **options: Any
    ) -> tuple[PartitionView, RunSpec]:
        self._started()
        by, view = self._client.asker(by), await self._client.view()
        return view, backfill_request(view, assets_to_run(view.graph, asset)[0], by=by, **options)


def _has_partitions(view: PartitionView, names: tuple[str, ...]) -> bool:
    """Whether a run of these has to be told partitions: the most downstream of them have some."""
    return view.graph[targets_of(view, names, partitions=False).asset].partitions is not None
