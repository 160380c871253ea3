"""`Runtime`: the public face. It checks arguments, asks the right part, and raises what users understand.

construction        the graph is built and validated, nothing runs
async with          the store is opened, then the supervision tree is started
materialize …       request (requests.py) → plan (runs/) → run (runs.py) → what became of it (handle.py)
asking              values, history, partitions, health and the tree: inspection.py
answering           approvals and signals: decisions.py
leaving             the tree stops from below: the watchman drains first, the store closes last
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from random import Random
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Self, TypeVar

from flowstone.actors import Clock, Supervisor, SystemClock
from flowstone.assets.snapshot import Snapshot
from flowstone.errors import RunCancelled, RuntimeStopping, StoreUnavailable
from flowstone.runs.planner import plan_run
from flowstone.runs.records import Status
from flowstone.runtime.client.failure_errors import materialization_failed, raise_unless_succeeded
from flowstone.runtime.client.handle import Run
from flowstone.runtime.client.lineage import Lineage
from flowstone.runtime.client.plan import Plan, preview
from flowstone.runtime.client.requests import (
    asset_to_run,
    backfill_request,
    checked_key,
    checked_priority,
    materialize_request,
    run_request,
)
from flowstone.runtime.client.run_client import RunClient
from flowstone.runtime.client.values import Values
from flowstone.runtime.composition import context_of, membership_of, runs_of
from flowstone.runtime.configuration import options_from, warn_of_misspelt_variables
from flowstone.runtime.execution.child_tasks import adopt_tasks
from flowstone.runtime.limits import Limits
from flowstone.runtime.loop_affinity import not_running
from flowstone.runtime.options import by_name, given_pipelines
from flowstone.runtime.run.watchman import drain
from flowstone.runtime.services.asset_registry import AssetRegistry, Publish, check_equipped
from flowstone.runtime.services.managers import attached, named_managers
from flowstone.runtime.services.providers import as_provider
from flowstone.runtime.tree import runtime_tree
from flowstone.store.cluster import Notification
from flowstone.store.open import check_store, open_store

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping
    from types import TracebackType

    from flowstone.actors.child_tasks import TaskFactory
    from flowstone.assets.config import Config
    from flowstone.assets.partition_view import PartitionView
    from flowstone.assets.pipeline import Pipeline
    from flowstone.io.manager import IOManager
    from flowstone.runs.records import Materialization, Refresh, RunRequest
    from flowstone.runtime.client.progress import Progress
    from flowstone.runtime.client.result import RunResult
    from flowstone.runtime.context import RuntimeContext
    from flowstone.runtime.settings import Settings
    from flowstone.store.protocol import Store

__all__ = ["Runtime"]

T = TypeVar("T")

_NO_TAGS: Mapping[str, str] = MappingProxyType({})


class Runtime(Limits):
    """Computes assets, remembers what it computed, and supervises both. Use it with `async with`.

    It shares nothing with other runtimes, and belongs to the event loop that enters it. From other threads and
    loops: `asyncio.run_coroutine_threadsafe(runtime.materialize(...), runtime.loop).result()`. Anything else there
    raises `WrongLoop` at once.

    Args:
        pipelines: A `Pipeline`, or several.
        store: Where runs are remembered: `memory://`, `file://DIR`, or a store object. Default: the setting.
        io: IO managers by name. Unless you say otherwise `default` is a `MemoryIO`, or, where several nodes can
            share the store (Postgres, embedded or not), a `PostgresIO`.
        resources: Resources by name: a `ResourceProvider`, an `@asynccontextmanager` or `@contextmanager` function,
            what such a function returned, or any object; docs/resources.md says who opens and closes what.
        settings: Default: `Settings()`, which reads `FLOWSTONE_*` from the environment.
        worker: Whether to go on with unfinished runs of these pipelines whose owner died and, on a store that
            several nodes share, to take submitted runs and execute steps for other nodes.
        clock: Default: the system's.
        random: Source of run ids and jitter. Default: one of its own.
        options: Any field of `Settings` by name, such as `max_concurrency=64`; wins over `settings`.

    Raises:
        DefinitionError: The pipelines make no valid graph.
        ValueError: An option is unknown or out of range.
        TypeError: `pipelines` is something else; `io` or `resources` is no mapping of names, or what `io` names is
            no IO manager; `store`, `clock`, `random` or `settings` is something else.
    """

    def __init__(
        self,
        pipelines: Pipeline | Iterable[Pipeline],
        *,
        store: str | Store | None = None,
        io: Mapping[str, IOManager] | None = None,
        resources: Mapping[str, object] | None = None,
        settings: Settings | None = None,
        worker: bool = True,
        clock: Clock | None = None,
        random: Random | None = None,
        **options: Any,
    ) -> None:
        given = given_pipelines(pipelines)
        self._settings = options_from(settings, options)
        self._snapshot = Snapshot.of(given)
        self._store = self._settings.store if store is None else store
        check_store(self._store)
        self._io = named_managers(io)
        given_resources = by_name("resources", resources)
        self._resources = {name: as_provider(value) for name, value in given_resources.items()}
        self._worker = worker
        if not isinstance(clock, Clock | None):
            raise TypeError(f"Runtime(clock=…) takes a Clock, not a {type(clock).__name__}.")
        self._clock = clock or SystemClock()
        if not isinstance(random, Random | None):
            raise TypeError(f"Runtime(random=…) takes a random.Random, not a {type(random).__name__}.")
        self._random = random or Random()  # noqa: S311 - jitter and ids, not secrets
        self._ctx: RuntimeContext | None = None
        self._tree: Supervisor | None = None
        self._factory: TaskFactory

    # Its life -----------------------------------------------------------------------------------------------

    async def __aenter__(self) -> Self:
        """Open the store and start the tree.

        Raises:
            StoreUnavailable: The store does not open within `connect_timeout`.
            IOManagerError: An IO manager cannot work with this store.
        """
        if self._ctx is not None:
            raise RuntimeStopping("A Runtime is entered once: make a new one.")
        warn_of_misspelt_variables()
        store = open_store(self._store, auto_migrate=self._settings.auto_migrate)
        await self._within_connect_timeout(store.open())
        try:
            managers = attached(self._io, store)
            self._ctx = ctx = context_of(
                store, managers, self._snapshot, self._settings, self._clock, self._random
            )
            self._runs = runs_of(ctx, worker=self._worker)
            self._client = RunClient(ctx, self._runs)
            self._values = Values(ctx, self._client, self._runs)
            self._lineage = Lineage(self._client, store)
            self._membership = membership = membership_of(
                ctx, self._runs, worker=self._worker, tree=self.tree
            )
            self._tree = runtime_tree(
                ctx, self._runs, managers, self._resources, membership, worker=self._worker
            )
            if membership is not None:
                await self._within_connect_timeout(membership.join())
            await self._tree.__aenter__()
        except BaseException:
            await store.close()
            raise
        self._factory = adopt_tasks(asyncio.get_running_loop())
        ctx.affinity.running = True
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        ctx = self._started()
        assert self._tree is not None
        self._client.refuse_within_step()
        self._runs.open = False
        try:
            return await self._tree.__aexit__(kind, error, trace)
        finally:
            ctx.affinity.running = False
            self._factory.release(asyncio.get_running_loop())
            self._runs.close()
            ctx.threads.close()
            if ctx.process_pool is not None:
                ctx.process_pool.close()
            ctx.notifications.close()
            ctx.stream.close()

    async def drain(self, timeout: float | None = None) -> bool:
        """Refuse new runs and let the live ones finish; cancel what is left.

        Args:
            timeout: Seconds to let them; default: `shutdown_timeout`.

        Returns:
            Whether all finished by themselves.
        """
        ctx = self._started()
        limit = self._settings.shutdown_timeout if timeout is None else timeout
        return await drain(ctx, self._runs, limit)

    async def reload(self, pipelines: Pipeline | Iterable[Pipeline]) -> None:
        """Work by other definitions: new runs take these, those that are running finish on theirs.

        They stand in the place of all that the runtime had. Runs that wait in a queue are new: they take the
        definitions that there are when they start. IO managers and resources stay as they are. Worker processes
        are replaced when they are idle; what they import, they import again.

        Args:
            pipelines: A `Pipeline`, or several.

        Raises:
            DefinitionError: The pipelines make no valid graph, or name an IO manager or a resource that the
                runtime does not have. Nothing has changed.
            TypeError: `pipelines` is something else.
            RuntimeStopping: The runtime is not running.
        """
        ctx = self._started()
        assert self._tree is not None
        snapshot = Snapshot.of(given_pipelines(pipelines))
        check_equipped(snapshot, ctx.snapshot, ctx.managers, self._resources)
        services = self._tree.child("services", Supervisor).instance
        if services is None:
            raise not_running()
        await services.child("asset_registry", AssetRegistry).call(Publish(snapshot))
        if ctx.process_pool is not None:
            ctx.process_pool.renew()
        if self._membership is not None:
            self._membership.reloaded()
        ctx.notifications.heard(Notification("look"))

    # Computing ----------------------------------------------------------------------------------------------

    async def materialize(
        self,
        asset: Any,
        *,
        partition: Any = None,
        timeout: float | None = None,
        config: Mapping[str, Any] | Config | None = None,
        tags: Mapping[str, str] = _NO_TAGS,
    ) -> Materialization:
        """Compute this asset only.

        Args:
            asset: Name, `Asset` or decorated function.
            partition: Which partition; required if the asset has a partition set.
            timeout: Seconds until the run is cancelled. Default: none.
            config: Fields of the asset's config, or a `Config`; by asset as soon as a key names one.
            tags: Labels of the run.

        Returns:
            The record of the success; or of a step that was `skipped` by choice, with the reason in its `failure`.

        Raises:
            AssetNotFound: There is no such asset.
            ConfigError: The config does not fit, or a required field is missing.
            PartitionError: The partition is missing or foreign.
            DependencyNotReady: An upstream has no value; `.missing` lists every one.
            MaterializationFailed: The last attempt failed.
            TimeoutError: `timeout` is over; the run is cancelled.
            RunCancelled: The run was cancelled.
            RuntimeStopping: The runtime drains.
        """
        ctx = self._started()
        view = await self._client.view()
        target = asset_to_run(view.graph, asset)
        request = materialize_request(view, target.name, partition, timeout, tags, config)
        await self._client.check_ready(view, request)
        run = await self._client.start(view, request)
        status = await self._client.finished(run)
        record = await ctx.store.step(run.record.id, (target.name, request.keys[0]))
        if status is Status.CANCELLED or record is None:
            raise RunCancelled(f"Run {run.record.id} of {target.name!r} was cancelled.", run.record.id)
        if record.failure is not None and record.status is not Status.SKIPPED:
            raise materialization_failed(record) from run.take_caught()
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
    ) -> RunResult:
        """Compute the asset and everything upstream of it, each step once, in parallel where independent.

        Args:
            asset: Name, `Asset` or decorated function.
            partition: Which partition of the asset; upstream partitions follow from the mappings.
            refresh: `all` computes everything; `missing` reuses values that exist; `stale` reuses fresh ones.
            max_parallel: Steps at a time. Default: `max_concurrency`.
            timeout: Seconds until the run is cancelled. Default: none.
            config: Fields of the asset's config, or a `Config`; by asset as soon as a key names one.
            tags: Labels of the run.

        Raises:
            AssetNotFound: There is no such asset.
            ConfigError: The config does not fit, or a required field is missing.
            PartitionError: The partition is missing or foreign.
            RunFailed: At least one step failed; `.result` has everything.
            TimeoutError: `timeout` is over; the run is cancelled.
            RunCancelled: The run was cancelled.
            RuntimeStopping: The runtime drains.
        """
        view, request = await self._run_request(
            asset,
            partition=partition,
            refresh=refresh,
            max_parallel=max_parallel,
            timeout=timeout,
            config=config,
            tags=tags,
        )
        run = await self._client.start(view, request)
        await self._client.finished(run)
        result = await self._client.result(run.record.id)
        raise_unless_succeeded(result, run.take_caught())
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
            RunFailed: A step failed and `raise_on_failure` is set.
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
            raise_unless_succeeded(result, run.take_caught())
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

        Returns:
            The handle of the run; its `wait()` raises what failed.

        Raises:
            AssetNotFound: There is no such asset.
            ConfigError: The config does not fit, or a required field is missing.
            DependencyNotReady: With `upstream=False` and `refresh="all"`: an upstream has no value.
            PartitionError: The partition is missing or foreign.
            ValueError: `key` or `priority` is out of range.
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
        if not upstream and refresh == "all":
            await self._client.check_ready(view, request)
        return await self._submit(view, request, key, priority)

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

        Returns:
            The handle of the run; its `wait()` raises what failed.

        Raises:
            AssetNotFound: There is no such asset.
            ConfigError: The config does not fit, or a required field is missing.
            PartitionError: A partition is foreign, or the asset has no partitions.
            ValueError: `key` or `priority` is out of range.
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
        return await self._submit(view, request, key, priority)

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

        Returns:
            A sequence of planned steps, computed as they are read.

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
                max_parallel=None,
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
                max_parallel=None,
                timeout=None,
                config=config,
                tags=_NO_TAGS,
            )
            if upstream is False:
                request = replace(request, upstream=False)
        return await preview(ctx, plan_run(view.graph, view, request))

    def __repr__(self) -> str:
        state = "running" if self._ctx is not None and self._ctx.affinity.running else "not running"
        snapshot = self._snapshot if self._ctx is None else self._ctx.snapshot
        return f"<Runtime {len(snapshot.graph)} assets, {state}>"

    # Inside -------------------------------------------------------------------------------------------------

    async def _within_connect_timeout(self, work: Awaitable[None]) -> None:
        limit = self._settings.connect_timeout
        try:
            async with asyncio.timeout(limit):
                await work
        except TimeoutError as error:
            raise StoreUnavailable(
                f"The store did not open within {limit:g} s: check that it is up, or raise connect_timeout."
            ) from error

    async def _submit(self, view: PartitionView, request: RunRequest, key: str | None, priority: int) -> Run:
        key, priority = checked_key(key), checked_priority(priority)
        run_id, submitted = await self._client.submit(view, request, key, priority)
        return Run(run_id, self._client, submitted=submitted)

    async def _run_request(self, asset: Any, **options: Any) -> tuple[PartitionView, RunRequest]:
        self._started()
        view = await self._client.view()
        return view, run_request(view, asset_to_run(view.graph, asset).name, **options)

    async def _backfill_request(self, asset: Any, **options: Any) -> tuple[PartitionView, RunRequest]:
        self._started()
        view = await self._client.view()
        return view, backfill_request(view, asset_to_run(view.graph, asset).name, **options)
