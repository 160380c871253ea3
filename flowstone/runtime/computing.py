"""The calls of `Runtime` that start a run and wait for it: `materialize`, `materialize_all` and `backfill`.

arguments       checked and turned into a request: client/requests.py
plan, run       client/run_client.py starts it; who does not wait for it calls what `submitting.py` has
what became     a record or a result, or what users understand of a failure: client/failure_errors.py
"""

from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, overload

from flowstone.errors import RunCancelled
from flowstone.runs.records import Status
from flowstone.runtime.client.failure_errors import materialization_failed, raise_unless_succeeded
from flowstone.runtime.client.requests import assets_to_run, materialize_request
from flowstone.runtime.client.single_flight import Ended, Terms
from flowstone.runtime.submitting import Submitting

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from flowstone.assets.asset import Asset
    from flowstone.assets.config import Config
    from flowstone.assets.partition_view import PartitionView
    from flowstone.runs.records import Materialization, Refresh, RunSpec
    from flowstone.runtime.client.progress import Progress
    from flowstone.runtime.client.result import RunResult

__all__ = ["Computing"]

_NO_TAGS: Mapping[str, str] = MappingProxyType({})


class Computing(Submitting):
    """The calls of `Runtime` that start runs."""

    @overload
    async def materialize(
        self,
        asset: Asset[..., Any] | Callable[..., Any],
        *,
        partition: Any = None,
        timeout: float | None = None,
        config: Mapping[str, Any] | Config | None = None,
        tags: Mapping[str, str] = _NO_TAGS,
        by: str | None = None,
        join: bool = False,
        cancel_when_unwanted: bool = False,
    ) -> Materialization: ...

    @overload
    async def materialize(
        self,
        asset: list[Any] | tuple[Any, ...],
        *,
        partition: Any = None,
        timeout: float | None = None,
        config: Mapping[str, Any] | Config | None = None,
        tags: Mapping[str, str] = _NO_TAGS,
        by: str | None = None,
        join: bool = False,
        cancel_when_unwanted: bool = False,
    ) -> RunResult: ...

    @overload
    async def materialize(
        self,
        asset: str,
        *,
        partition: Any = None,
        timeout: float | None = None,
        config: Mapping[str, Any] | Config | None = None,
        tags: Mapping[str, str] = _NO_TAGS,
        by: str | None = None,
        join: bool = False,
        cancel_when_unwanted: bool = False,
    ) -> Materialization | Any: ...  # No type tells a selection, which gives a RunResult, from a name.

    async def materialize(
        self,
        asset: Any,
        *,
        partition: Any = None,
        timeout: float | None = None,
        config: Mapping[str, Any] | Config | None = None,
        tags: Mapping[str, str] = _NO_TAGS,
        by: str | None = None,
        join: bool = False,
        cancel_when_unwanted: bool = False,
    ) -> Materialization | RunResult:
        """Compute this asset only, or these only.

        Args:
            asset: Name, `Asset` or decorated function; or several: a selection (see `select`), or a list.
            partition: Which partition; required if the asset has a partition set. Of several assets it is that of
                those which have the set of the most downstream ones.
            timeout: Seconds until the run is cancelled; with `join`, until this call gives up. Default: none.
            config: Fields of the asset's config, or a `Config`; by asset as soon as a key names one.
            tags: Labels of the run.
            by: Who asks for it. Default: whoever the runtime acts for (`actor=`).
            join: Whether to wait for a run that is under way for the same request, in any process, instead of
                computing the same twice. Of a run that others wait for this call's end changes nothing.
            cancel_when_unwanted: Whether a run that this call joined is cancelled when it is cancelled itself, or
                gives up, and nobody else waits for the run. The run that it started is so in any case.

        Returns:
            The record of the success; or of a step that was `skipped` by choice, with the reason in its `failure`.
            Of a selection or a list the result of the run, however many assets are in it.

        Raises:
            AssetNotFound: There is no such asset.
            SelectionError: The selection cannot be read, or names what there is not.
            ConfigError: The config does not fit, or a required field is missing.
            PartitionError: The partition is missing or foreign, or the assets have different ones.
            DependencyNotReady: An upstream that is not computed as well has no value; `.missing` lists every one.
            MaterializationFailed: The last attempt failed.
            RunFailed: Of a selection or a list: a step failed; `.result` has everything.
            TimeoutError: `timeout` is over; the run is cancelled, unless others have joined it.
            RunCancelled: The run was cancelled.
            WaitsForItself: With `join`, in a step for which the run under way waits.
            RuntimeStopping: The runtime drains.
        """
        ctx = self._started()
        with self._client.coming(joins=join) as made:
            view = await self._client.view()
            names, several = assets_to_run(view.graph, asset)
            request = materialize_request(
                view, names, partition, timeout, tags, config, self._client.asker(by)
            )
            await self._client.check_ready(view, request)
            ended = await self._ended(view, request, join=join, cancels=cancel_when_unwanted, made=made)
        if several:
            return await self._result(view, ended)
        record = await ctx.store.step(ended.run_id, (request.asset, request.keys[0]))
        if ended.status is Status.CANCELLED or record is None:
            raise RunCancelled(f"Run {ended.run_id} of {request.asset!r} was cancelled.", ended.run_id)
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
        by: str | None = None,
        join: bool = False,
        cancel_when_unwanted: bool = False,
    ) -> RunResult:
        """Compute the asset, or several, and everything upstream, each step once, in parallel where independent.

        Args:
            asset: Name, `Asset` or decorated function; or several: a selection (see `select`), or a list.
            partition: Which partition, as in `materialize`; upstream partitions follow from the mappings.
            refresh: `all` computes everything; `missing` reuses values that exist; `stale` reuses fresh ones.
            max_parallel: Steps at a time. Default: `max_concurrency`.
            timeout: Seconds until the run is cancelled; with `join`, until this call gives up. Default: none.
            config: Fields of the asset's config, or a `Config`; by asset as soon as a key names one.
            tags: Labels of the run.
            by: Who asks for it. Default: whoever the runtime acts for (`actor=`).
            join: As in `materialize`; a run that is under way is joined if it has the same `refresh` as well.
            cancel_when_unwanted: As in `materialize`.

        Raises:
            AssetNotFound: There is no such asset.
            SelectionError: The selection cannot be read, or names what there is not.
            ConfigError: The config does not fit, or a required field is missing.
            PartitionError: The partition is missing or foreign, or the assets have different ones.
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
                by=by,
            )
            ended = await self._ended(view, request, join=join, cancels=cancel_when_unwanted, made=made)
        return await self._result(view, ended)

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
        by: str | None = None,
    ) -> RunResult:
        """Compute many partitions of an asset, or of several, in one run. One that fails does not stop the others.

        Args:
            asset: Name, `Asset` or decorated function; or several: a selection (see `select`), or a list. Those of
                them that have no partition set are computed once, where others have one.
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
            by: Who asks for it. Default: whoever the runtime acts for (`actor=`).

        Raises:
            AssetNotFound: There is no such asset.
            SelectionError: The selection cannot be read, or names what there is not.
            ConfigError: The config does not fit, or a required field is missing.
            PartitionError: A partition is foreign, or the asset has no partitions, or the assets different ones.
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
            by=by,
        )
        run = await self._client.start(view, request, raises=raise_on_failure, on_progress=on_progress)
        status = await self._client.finished(run)
        result = await self._client.result(run.record.id)
        if raise_on_failure or status is Status.CANCELLED:
            raise_unless_succeeded(result, run.take_caught(), view.graph)
        return result

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

    async def _result(self, view: PartitionView, ended: Ended) -> RunResult:
        result = await self._client.result(ended.run_id)
        raise_unless_succeeded(result, ended.cause, view.graph)
        return result
