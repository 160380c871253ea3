"""The calls of `Runtime` that start runs: arguments become a request, a plan, a run, and what became of it.

materialize, materialize_all, backfill      start a run and wait for it
submit, submit_backfill                     start a run and return its handle
plan                                        starts none; run_plan starts what it says

arguments       checked and turned into a request: client/requests.py
plan, run       client/run_client.py starts it, or leaves it to any node (`submit`)
what became     a record or a result, or what users understand of a failure: client/failure_errors.py
"""

from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from flowstone.errors import (
    AssetNotFound,
    ConfigError,
    DefinitionError,
    PartitionError,
    PlanOutdated,
    RunCancelled,
)
from flowstone.remedies import Remedies
from flowstone.runs.planner import plan_run
from flowstone.runs.records import Status
from flowstone.runtime.client.failure_errors import materialization_failed, raise_unless_succeeded
from flowstone.runtime.client.handle import Run
from flowstone.runtime.client.once import checked_once, words_of
from flowstone.runtime.client.preview import preview
from flowstone.runtime.client.requests import (
    asset_to_run,
    backfill_request,
    checked_key,
    checked_priority,
    checked_tags,
    materialize_request,
    run_request,
)
from flowstone.runtime.client.single_flight import Ended, Terms
from flowstone.runtime.limits import Limits
from flowstone.runtime.run.redefinition import check_request

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from flowstone.assets.config import Config
    from flowstone.assets.partition_view import PartitionView
    from flowstone.runs.records import Materialization, Refresh, RunSpec
    from flowstone.runtime.client.plan import Plan
    from flowstone.runtime.client.progress import Progress
    from flowstone.runtime.client.result import RunResult
    from flowstone.runtime.context import RuntimeContext

__all__ = ["Computing"]

_NO_TAGS: Mapping[str, str] = MappingProxyType({})


class Computing(Limits):
    """The calls of `Runtime` that start runs, and `plan`, which starts none."""

    async def materialize(
        self,
        asset: Any,
        *,
        partition: Any = None,
        timeout: float | None = None,
        config: Mapping[str, Any] | Config | None = None,
        tags: Mapping[str, str] = _NO_TAGS,
        join: bool = False,
        cancel_when_unwanted: bool = False,
    ) -> Materialization:
        """Compute this asset only.

        Args:
            asset: Name, `Asset` or decorated function.
            partition: Which partition; required if the asset has a partition set.
            timeout: Seconds until the run is cancelled; with `join`, until this call gives up. Default: none.
            config: Fields of the asset's config, or a `Config`; by asset as soon as a key names one.
            tags: Labels of the run.
            join: Whether to wait for a run that is under way for the same request, in any process, instead of
                computing the same twice. Of a run that others wait for this call's end changes nothing.
            cancel_when_unwanted: Whether a run that this call joined is cancelled when it is cancelled itself, or
                gives up, and nobody else waits for the run. The run that it started is so in any case.

        Returns:
            The record of the success; or of a step that was `skipped` by choice, with the reason in its `failure`.

        Raises:
            AssetNotFound: There is no such asset.
            ConfigError: The config does not fit, or a required field is missing.
            PartitionError: The partition is missing or foreign.
            DependencyNotReady: An upstream has no value; `.missing` lists every one.
            MaterializationFailed: The last attempt failed.
            TimeoutError: `timeout` is over; the run is cancelled, unless others have joined it.
            RunCancelled: The run was cancelled.
            WaitsForItself: With `join`, in a step for which the run under way waits.
            RuntimeStopping: The runtime drains.
        """
        ctx = self._started()
        with self._client.coming(joins=join) as made:
            view = await self._client.view()
            target = asset_to_run(view.graph, asset)
            request = materialize_request(view, target.name, partition, timeout, tags, config)
            await self._client.check_ready(view, request)
            ended = await self._ended(view, request, join=join, cancels=cancel_when_unwanted, made=made)
        record = await ctx.store.step(ended.run_id, (target.name, request.keys[0]))
        if ended.status is Status.CANCELLED or record is None:
            raise RunCancelled(f"Run {ended.run_id} of {target.name!r} was cancelled.", ended.run_id)
        if record.failure is not None and record.status is not Status.SKIPPED:
            raise materialization_failed(record) from ended.cause
        return record

    async def materialize_all(
        self,
        asset: Any,
        *,
        partition: Any = None,
        refresh: Refresh = "all",
        max_parallel: int | None = None,
        timeout: float | None = None,
        config: Mapping[str, Any] | Config | None = None,
        tags: Mapping[str, str] = _NO_TAGS,
        join: bool = False,
        cancel_when_unwanted: bool = False,
    ) -> RunResult:
        """Compute the asset and everything upstream of it, each step once, in parallel where independent.

        Args:
            asset: Name, `Asset` or decorated function.
            partition: Which partition of the asset; upstream partitions follow from the mappings.
            refresh: `all` computes everything; `missing` reuses values that exist; `stale` reuses fresh ones.
            max_parallel: Steps at a time. Default: `max_concurrency`.
            timeout: Seconds until the run is cancelled; with `join`, until this call gives up. Default: none.
            config: Fields of the asset's config, or a `Config`; by asset as soon as a key names one.
            tags: Labels of the run.
            join: As in `materialize`; a run that is under way is joined if it has the same `refresh` as well.
            cancel_when_unwanted: As in `materialize`.

        Raises:
            AssetNotFound: There is no such asset.
            ConfigError: The config does not fit, or a required field is missing.
            PartitionError: The partition is missing or foreign.
            RunFailed: The step failed, or one that it needs; `.result` has everything.
            TimeoutError: `timeout` is over; the run is cancelled, unless others have joined it.
            RunCancelled: The run was cancelled.
            WaitsForItself: With `join`, in a step for which the run under way waits.
            RuntimeStopping: The runtime drains.
        """
        with self._client.coming(joins=join) as made:
            view, request = await self._run_request(
                asset,
                partition=partition,
                refresh=refresh,
                max_parallel=max_parallel,
                timeout=timeout,
                config=config,
                tags=tags,
            )
            ended = await self._ended(view, request, join=join, cancels=cancel_when_unwanted, made=made)
        result = await self._client.result(ended.run_id)
        raise_unless_succeeded(result, ended.cause, view.graph)
        return result

    async def backfill(
        self,
        asset: Any,
        *,
        partitions: Iterable[Any] | None = None,
        start: Any = None,
        end: Any = None,
        max_parallel: int | None = 4,
        upstream: bool = False,
        refresh: Refresh = "missing",
        on_progress: Callable[[Progress], Any] | None = None,
        raise_on_failure: bool = False,
        config: Mapping[str, Any] | Config | None = None,
        tags: Mapping[str, str] = _NO_TAGS,
    ) -> RunResult:
        """Compute many partitions of an asset in one run. One that fails does not stop the others.

        Args:
            asset: Name, `Asset` or decorated function.
            partitions: Which ones. Default: the whole partition set, or `start` to `end`.
            start: First partition of a range. Default: the set's first.
            end: Last partition of a range, inclusive. Default: the set's last.
            max_parallel: Steps at a time. None: `max_concurrency`.
            upstream: Whether upstream assets are computed as well.
            refresh: Which existing values, of all assets in the run, are reused: `missing` reuses what exists,
                `stale` what is fresh, `all` nothing.
            on_progress: Called (or awaited) with a `Progress` for each step that ends.
            raise_on_failure: Whether to raise `RunFailed` instead of returning a result with failures.
            config: Fields of the asset's config, or a `Config`; by asset as soon as a key names one.
            tags: Labels of the run.

        Raises:
            AssetNotFound: There is no such asset.
            ConfigError: The config does not fit, or a required field is missing.
            PartitionError: A partition is foreign, or the asset has no partitions.
            RunFailed: One of them failed, or was skipped because of a failure, and `raise_on_failure` is set.
            RunCancelled: The run was cancelled.
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
        )
        run = await self._client.start(view, request, raises=raise_on_failure, on_progress=on_progress)
        status = await self._client.finished(run)
        result = await self._client.result(run.record.id)
        if raise_on_failure or status is Status.CANCELLED:
            raise_unless_succeeded(result, run.take_caught(), view.graph)
        return result

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
        key: str | None = None,
        priority: int = 0,
        join: bool = False,
        once: str | None = None,
    ) -> Run:
        """Start what `materialize_all` would do and return its handle at once; on a store that lasts, durably.

        With `upstream=False` it starts what `materialize` would do: the asset alone.

        Args:
            asset: Name, `Asset` or decorated function.
            partition: Which partition of the asset; upstream partitions follow from the mappings.
            upstream: Whether everything upstream is computed as well.
            refresh: `all` computes everything; `missing` reuses values that exist; `stale` reuses fresh ones.
            max_parallel: Steps at a time. Default: `max_concurrency`.
            timeout: Seconds until the run is cancelled. Default: none.
            config: Fields of the asset's config, or a `Config`; by asset as soon as a key names one.
            tags: Labels of the run.
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
            ConfigError: The config does not fit, or a required field is missing.
            DependencyNotReady: With `upstream=False` and `refresh="all"`: an upstream has no value.
            PartitionError: The partition is missing or foreign.
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
        key: str | None = None,
        priority: int = 0,
        once: str | None = None,
    ) -> Run:
        """Start what `backfill` would do and return its handle at once; on a store that lasts, durably.

        Args:
            asset: Name, `Asset` or decorated function.
            partitions: Which ones. Default: the whole partition set, or `start` to `end`.
            start: First partition of a range. Default: the set's first.
            end: Last partition of a range, inclusive. Default: the set's last.
            max_parallel: Steps at a time, on all nodes together. None: `max_concurrency`.
            upstream: Whether upstream assets are computed as well.
            refresh: Which existing values are reused, as in `backfill`.
            config: Fields of the asset's config, or a `Config`; by asset as soon as a key names one.
            tags: Labels of the run.
            key: As in `submit`.
            priority: As in `submit`.
            once: As in `submit`.

        Returns:
            The handle of the run; its `wait()` raises what failed.

        Raises:
            AssetNotFound: There is no such asset.
            ConfigError: The config does not fit, or a required field is missing.
            PartitionError: A partition is foreign, or the asset has no partitions.
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
            asset: Name, `Asset` or decorated function.
            partition: Which partition of the asset.
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
            ConfigError: The config does not fit, or a required field is missing.
            PartitionError: A partition is missing or foreign.
        """
        ctx = self._started()
        view = await self._client.view()
        target = asset_to_run(view.graph, asset)
        several = partitions is not None or start is not None or end is not None
        if several or (partition is None and target.partitions is not None):
            request = backfill_request(
                view,
                target.name,
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
                target.name,
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
        self, plan: Plan, *, tags: Mapping[str, str] = _NO_TAGS, key: str | None = None, priority: int = 0
    ) -> Run:
        """Start what a plan says and return its handle at once; on a store that lasts, durably.

        The plan is looked at again: if other steps would run now, nothing is started.

        Args:
            plan: What `plan` gave, of this runtime or of another one of the same pipelines.
            tags: Labels of the run.
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
        request = replace(plan.request, tags=checked_tags(tags))
        view = (await self._client.view()).at(plan.moment)
        again = await self._looked_at(ctx, view, request)
        if again is None or not plan.runs_the_same(again):
            numbers = "" if again is None else f": {plan.to_run:,} steps would have run, now {again.to_run:,}"
            raise PlanOutdated(
                f"What would run has changed since the plan of {request.asset!r} was made{numbers}.",
                again,
                remedies=Remedies("Plan it again, and look at it."),
            )
        return await self._submit(view, request, key, priority)

    # Inside -------------------------------------------------------------------------------------------------

    async def _ended(
        self, view: PartitionView, request: RunSpec, *, join: bool, cancels: bool, made: int | None
    ) -> Ended:
        """Compute, alone or with others; then a timeout is the patience of this call, as each has its own."""
        if not (join or cancels):
            run = await self._client.start(view, request)
            status = await self._client.finished(run)
            return Ended(run.record.id, status, run.take_caught())
        terms = Terms(join, cancels, request.timeout, made)
        return await self._client.compute(view, replace(request, timeout=None), terms)

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

    async def _run_request(self, asset: Any, **options: Any) -> tuple[PartitionView, RunSpec]:
        self._started()
        view = await self._client.view()
        return view, run_request(view, asset_to_run(view.graph, asset).name, **options)

    async def _backfill_request(self, asset: Any, **options: Any) -> tuple[PartitionView, RunSpec]:
        self._started()
        view = await self._client.view()
        return view, backfill_request(view, asset_to_run(view.graph, asset).name, **options)
