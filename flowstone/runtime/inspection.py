"""What can be asked of a runtime that runs, and what can be changed without a run.

runs            one by its id, or a list of them from the store
values          the current ones, their history, their lineage; invalidating them
partitions      adding and removing keys of dynamic sets
looking at it   the node, its live runs and running steps, events, the tree, health
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar, overload

from flowstone.actors import ProcessInfo
from flowstone.assets.selection import select
from flowstone.errors import ArgumentError
from flowstone.runtime.client.explaining import Surroundings, explain
from flowstone.runtime.client.handle import Run
from flowstone.runtime.client.health import Health, health
from flowstone.runtime.client.log_lines import log_lines
from flowstone.runtime.client.nodes import NodeStatus, status_of, status_of_itself
from flowstone.runtime.client.requests import asset_named, bounded_count, encoded, page_of
from flowstone.runtime.client.run_filter import wanted_statuses, wanted_tags
from flowstone.runtime.cluster.node_report import WATCHED_STEPS, node_report, queued_steps, running_steps
from flowstone.runtime.loop_affinity import not_running
from flowstone.runtime.services.feed import FeedReader

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
    from contextlib import AbstractContextManager

    from flowstone.actors import Supervisor
    from flowstone.assets.asset import Asset
    from flowstone.assets.graph import AssetGraph
    from flowstone.assets.output import Output
    from flowstone.runs.explanation import Explanation
    from flowstone.runs.items import Item
    from flowstone.runs.partition_states import PartitionCounts, PartitionStates
    from flowstone.runs.queued_step import QueuedStep
    from flowstone.runs.records import Materialization, RunRecord, Status
    from flowstone.runs.running_step import RunningStep
    from flowstone.runtime.client.lineage import Lineage
    from flowstone.runtime.client.log_lines import LogLines
    from flowstone.runtime.client.run_client import RunClient
    from flowstone.runtime.client.values import Values
    from flowstone.runtime.cluster.node_watch import NodeWatch
    from flowstone.runtime.context import RuntimeContext
    from flowstone.runtime.run.local_runs import LocalRuns
    from flowstone.runtime.services.events import Subscription

__all__ = ["Inspection"]

T = TypeVar("T")


class Inspection:
    """The calls of `Runtime` that start no run. Its parts are there from the moment it is entered."""

    _ctx: RuntimeContext | None
    _runs: LocalRuns
    _tree: Supervisor | None
    _values: Values
    _lineage: Lineage
    _client: RunClient
    _node_watch: NodeWatch | None
    _worker: bool

    def select(self, selection: str) -> tuple[str, ...]:
        """The names of the assets that a selection means, upstream before downstream; constants are not among them.

        Args:
            selection: `report`, `+report` (with all upstream of it), `raw+` (downstream), `2+report` (two steps of
                it), `tag:team=core`, `*`; joined by commas (or) and spaces (and); `-x` leaves out.

        Raises:
            SelectionError: It cannot be read, or names what there is not; the message shows where.
        """
        return select(self._started().snapshot.graph, selection)

    # Runs ---------------------------------------------------------------------------------------------------

    async def run(self, run_id: str) -> Run:
        """The handle of a run, after a restart as well.

        Args:
            run_id: The run's id.

        Raises:
            RunNotFound: The store knows no such run.
        """
        self._started()
        await self._client.record(run_id)
        return Run(run_id, self._client)

    async def runs(
        self,
        status: Status | str | Iterable[Status | str] | None = None,
        asset: Any = None,
        tag: str | Mapping[str, str] | None = None,
        limit: int = 100,
        before: str | None = None,
    ) -> Sequence[RunRecord]:
        """The runs that the store knows, of all its nodes and pipelines, newest first.

        The newest is the one that was recorded last; retention forgets finished ones (`keep_runs`).

        Args:
            status: Only runs that are `queued`, `running`, `waiting`, `succeeded`, `failed` or `cancelled`, or in
                one of several of these. Default: any.
            asset: Only runs that were asked for this asset: name, `Asset` or decorated function. Default: any.
            tag: Only runs with this tag: its name, `name=value`, or a mapping of names to values, of which a run
                must have all. Default: any.
            limit: How many at most.
            before: Only runs older than the one with this id: the last one of the page before.

        Returns:
            Their records as of now, with `id`, `kind`, `asset`, `status`, `created_at`, `started_at`,
            `finished_at`, `total` steps and `counts` of those that ended, by how they ended.

        Raises:
            AssetNotFound: There is no such asset.
            RunNotFound: There is no run `before`.
            ValueError: No run has such a status, or `limit` is no positive whole number.
            TypeError: `tag` is something else.
        """
        ctx = self._started()
        name = None if asset is None else asset_named(ctx.snapshot.graph, asset).name
        return await ctx.store.runs(
            statuses=wanted_statuses(status),
            asset=name,
            tags=wanted_tags(tag),
            limit=bounded_count("limit", limit),
            before=before,
        )

    # Values -------------------------------------------------------------------------------------------------

    @overload
    async def load(self, asset: Asset[..., Awaitable[Output[T]]], *, partition: Any = None) -> T: ...

    @overload
    async def load(self, asset: Asset[..., Output[T]], *, partition: Any = None) -> T: ...

    @overload
    async def load(self, asset: Asset[..., Awaitable[T]], *, partition: Any = None) -> T: ...

    @overload
    async def load(self, asset: Asset[..., T], *, partition: Any = None) -> T: ...

    @overload
    async def load(self, asset: str | Callable[..., Any], *, partition: Any = None) -> Any: ...

    async def load(self, asset: Any, *, partition: Any = None) -> Any:
        """The current value: that of the success that was recorded last.

        Args:
            asset: Name, `Asset` or decorated function.
            partition: Which partition; required if the asset has a partition set.

        Raises:
            AssetNotFound: There is no such asset.
            PartitionError: The partition is missing or foreign.
            ValueNotFound: There is no current value.
            IOManagerError: The value cannot be loaded.
        """
        self._started()
        return await self._values.load(asset, partition)

    async def exists(self, asset: Any, *, partition: Any = None) -> bool:
        """Whether there is a current value.

        Args:
            asset: Name, `Asset` or decorated function.
            partition: Which partition; required if the asset has a partition set.

        Raises:
            AssetNotFound: There is no such asset.
            PartitionError: The partition is missing or foreign.
        """
        self._started()
        return await self._values.exists(asset, partition)

    async def status(self, asset: Any, *, partition: Any = None) -> Status:
        """The state of an asset (at a partition): of its step if a live run has one, else of its records.

        `succeeded` means there is a current value, `failed` that the last attempt to compute one failed, `never`
        that it was never computed or is invalidated.

        Args:
            asset: Name, `Asset` or decorated function.
            partition: Which partition; required if the asset has a partition set.

        Raises:
            AssetNotFound: There is no such asset.
            PartitionError: The partition is missing or foreign.
        """
        self._started()
        return await self._values.status(asset, partition)

    async def partition_states(
        self, *assets: Any, latest: int | None = None
    ) -> Mapping[str, PartitionStates]:
        """What has become of all partitions of assets, by what is on record: one question for all of them.

        A partition that was computed and failed since is `failed`, one with a current value `succeeded`. What is
        under way is not on record: see `running_steps`.

        Args:
            assets: Names, `Asset`s or decorated functions; none: all assets.
            latest: Only so many of the last partitions of each. Default: all.

        Returns:
            By the name of each asset, in the order of the graph where all are asked for.

        Raises:
            AssetNotFound: There is no such asset.
            ValueError: `latest` is no positive whole number.
        """
        graph = self._started().snapshot.graph
        names = [asset_named(graph, asset).name for asset in assets] or list(graph.order())
        return await self._values.partition_states(
            names, None if latest is None else bounded_count("latest", latest)
        )

    async def partition_counts(self, *assets: Any) -> Mapping[str, PartitionCounts]:
        """How many partitions of assets stand how, by what is on record: `partition_states`, counted.

        Args:
            assets: Names, `Asset`s or decorated functions; none: all assets.

        Raises:
            AssetNotFound: There is no such asset.
        """
        graph = self._started().snapshot.graph
        names = [asset_named(graph, asset).name for asset in assets] or list(graph.order())
        return await self._values.partition_counts(names)

    async def why(self, asset: Any, partition: Any = None) -> Explanation:
        """Why an asset (at a partition) is as it is: a sentence, and its causes down to the root.

        It is told from what is recorded, and from what the nodes say: what it waits for, who takes what it waits
        for, which failure it comes from, why its value is stale. Print it to see the whole tree.

        Args:
            asset: Name, `Asset` or decorated function.
            partition: Which partition; required if the asset has a partition set.

        Raises:
            AssetNotFound: There is no such asset.
            PartitionError: The partition is missing or foreign.
            StoreUnavailable: The store does not answer.
        """
        ctx = self._started()
        view = await self._client.view()
        name = asset_named(view.graph, asset).name
        key = name, encoded(view, name, partition)
        nodes = await self.nodes()
        pools = await ctx.admission.pools.show(dict(ctx.snapshot.pools)) if ctx.snapshot.pools else ()
        around = Surroundings(ctx.store, ctx.clock.now(), nodes, {pool.name: pool for pool in pools}, view)
        return await explain(around, key)

    async def history(
        self, asset: Any, *, partition: Any = None, limit: int = 100, offset: int = 0
    ) -> Sequence[Materialization]:
        """What became of the asset (at a partition) in all runs, newest first.

        Args:
            asset: Name, `Asset` or decorated function.
            partition: Which partition; required if the asset has a partition set.
            limit: How many records at most; default 100.
            offset: How many of the newest to leave out; default 0.

        Raises:
            AssetNotFound: There is no such asset.
            PartitionError: The partition is missing or foreign.
            ValueError: `limit` or `offset` is no whole number of at least 0.
        """
        self._started()
        return await self._values.history(asset, partition, *page_of(limit, offset))

    async def items(
        self,
        run_id: str,
        asset: Any,
        partition: Any = None,
        status: Status | str | None = None,
        limit: int = 100,
        offset: int = 0,
    ) -> Sequence[Item]:
        """What became of the items that a step of a run went through, in their order; those that have ended.

        Args:
            run_id: The run's id.
            asset: Name, `Asset` or decorated function of what went through them (`each=`).
            partition: At which partition.
            status: Only those that `succeeded`, `failed`, or were `skipped`.
            limit: How many at most; default 100.
            offset: How many to leave out; default 0.

        Raises:
            RunNotFound: There is no such run.
            AssetNotFound: There is no such asset.
            PartitionError: The partition is foreign to the asset.
            ValueError: There is no such status of an item, or `limit` or `offset` is no whole number of at least 0.
        """
        await self.run(run_id)
        page = page_of(limit, offset)
        return await self._values.items(run_id, asset, partition, status, *page)

    def logs(
        self,
        run_id: str,
        asset: Any = None,
        partition: Any = None,
        *,
        follow: bool = False,
        after: int = 0,
        limit: int | None = None,
        tail: int | None = None,
    ) -> LogLines:
        """What the code of a run's attempts logged and printed, in the order in which it was kept.

        Read it with `async for`. Lines of other nodes come within half a second.

        Args:
            run_id: The run's id.
            asset: Only lines of this one: name, `Asset` or decorated function. Default: of all.
            partition: Only lines of this partition of it. Default: of all.
            follow: Whether to go on until the run has ended and all of its lines are in.
            after: Only lines with higher numbers: the last `LogLine.number` that was read before.
            limit: How many at most. Default: all.
            tail: Only the newest so many, and with `follow` what comes after them. Those that an attempt on this
                node has said last, and that are not kept before its end, are among them (`held`). Not together with
                `after`. Default: from the first one on.

        Raises:
            RunNotFound: There is no such run. This and the following are raised by the first line.
            AssetNotFound: There is no such asset.
            PartitionError: The partition is foreign to the asset.
            ValueError: A partition is given and no asset; or `after`, `limit` or `tail` is no whole number of at
                least 0, or `after` and `tail` are given both.
        """
        ctx = self._started()
        _, after = page_of(0, after)
        wanted, newest = (None if number is None else page_of(number, 0)[0] for number in (limit, tail))
        if newest is not None and after:
            raise ArgumentError(
                "`after` begins behind a line, `tail` with the newest ones: give one of them."
            )
        step = (asset, partition)
        return log_lines(
            ctx, self._client, run_id, step, follow=follow, after=after, limit=wanted, tail=newest
        )

    async def invalidate(self, asset: Any, *, partition: Any = None, downstream: bool = False) -> int:
        """Make current values no longer current; returns how many.

        Args:
            asset: Name, `Asset` or decorated function.
            partition: Which partition; default: all that have a value.
            downstream: Whether everything computed from them is invalidated too.

        Raises:
            AssetNotFound: There is no such asset.
            PartitionError: The partition is foreign.
        """
        ctx = self._started()
        keys = await self._values.to_invalidate(asset, partition, downstream=downstream)
        number = await ctx.store.invalidate(keys)
        if ctx.snapshot.automations:
            from flowstone.runtime.automation.missing import look_at_missing  # noqa: PLC0415 - few runtimes need it

            await look_at_missing(ctx, keys)
        return number

    async def add_partitions(self, name: str, keys: Sequence[Any]) -> int:
        """Add keys to a dynamic partition set.

        Args:
            name: The set's name, as in `DynamicPartitions(name)`.
            keys: Partition keys; those that are there already change nothing.

        Returns:
            How many were new.

        Raises:
            PartitionError: One of them cannot be a key; then none is added.
        """
        ctx = self._started()
        keys = list(keys) if isinstance(keys, Iterator) else keys
        number = await self._values.add_partitions(name, keys)
        if ctx.snapshot.automations:
            from flowstone.runtime.automation.missing import added, look_at_missing  # noqa: PLC0415 - few runtimes need it

            await look_at_missing(ctx, added(await self._client.view(), name, keys))
        return number

    async def remove_partitions(self, name: str, keys: Sequence[Any]) -> int:
        """Remove keys from a dynamic partition set. Values that were computed for them stay.

        Args:
            name: The set's name, as in `DynamicPartitions(name)`.
            keys: Partition keys; those that are not there change nothing.

        Returns:
            How many were there.

        Raises:
            PartitionError: One of them cannot be a key.
        """
        self._started()
        return await self._values.remove_partitions(name, keys)

    @property
    def lineage(self) -> Lineage:
        """Questions about which values came from which."""
        self._started()
        return self._lineage

    # Looking at it ------------------------------------------------------------------------------------------

    @property
    def graph(self) -> AssetGraph:
        """The assets of all its pipelines, as they are defined now; not before it is entered."""
        return self._started().snapshot.graph

    @property
    def pipelines(self) -> tuple[str, ...]:
        """The names of its pipelines; not before it is entered."""
        return self._started().snapshot.names

    def pipeline_of(self, asset: Any) -> str:
        """The name of the pipeline that defines an asset.

        Raises:
            AssetNotFound: There is no such asset.
        """
        snapshot = self._started().snapshot
        return snapshot.pipelines[asset_named(snapshot.graph, asset).name]

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The event loop it belongs to, to be asked for on any thread. Raises `RuntimeStopping` if not running."""
        if self._ctx is None or not self._ctx.affinity.running:
            raise not_running()
        return self._ctx.affinity.loop

    @property
    def node(self) -> str:
        """The id of this runtime among the nodes of its store: the `owner` of the runs that it drives.

        It is made when the runtime is entered; before that it raises `RuntimeStopping`.
        """
        if self._ctx is None:
            raise not_running()
        return self._ctx.node

    def live_runs(self) -> tuple[RunRecord, ...]:
        """The runs that this runtime drives at this instant, each as it was when it was started here."""
        self._started()
        return tuple(run.record for run in self._runs.live.values() if not run.over)

    def running_steps(self) -> tuple[RunningStep, ...]:
        """The steps that run in this process at this instant, and how far they are.

        They are steps of its live runs, and those that it executes for other nodes.
        """
        return tuple(running_steps(self._started(), self._runs))

    def queued_steps(self) -> tuple[QueuedStep, ...]:
        """The steps that are to begin in this process at this instant, and what they wait for."""
        return tuple(queued_steps(self._started(), self._runs))

    async def nodes(self, *, trees: bool = False) -> tuple[NodeStatus, ...]:
        """What each node of the store does: the steps that run on it, and what waits to begin there; oldest first.

        It is what the nodes said at most half a second ago. From the first call on they say at once what has
        changed, for as long as somebody goes on asking; a node whose event loop is blocked is shown as it was.
        Those that have left are not among them, and one that died is for a day, as not `alive`. Where no other
        process can share the store there is one: this.

        Args:
            trees: Whether with their supervision trees: what they showed last, nobody is asked.

        Raises:
            StoreUnavailable: The store does not answer.
        """
        ctx = self._started()
        if self._node_watch is not None:
            found = await self._node_watch.nodes(trees=trees)
            return tuple(status_of(each) for each in found if not each.gone)
        return (
            status_of_itself(
                node_report(ctx, self._runs, automate=False, most=WATCHED_STEPS),
                ctx.node,
                tuple(ctx.snapshot.names) if self._worker else (),
                ctx.settings.max_concurrency,
                sum(not run.over for run in self._runs.live.values()),
                self._shown_tree() if trees else None,
                ctx.begun_at,
            ),
        )

    def subscribe(self, *kinds: str) -> Subscription:
        """An async context manager that gives an async iterator of events.

        Args:
            kinds: `step.succeeded`, `run.failed`, `run.finished` (however it ended), …, or the first word for all
                of its kinds: `run`, `step`, `asset`, `automation`. Default: all.

        Raises:
            ValueError: There is no such kind.
        """
        return self._started().stream.subscribe(kinds)

    def feed(
        self, *kinds: str, after: int | None = None, run_id: str | None = None, asset: Any = None
    ) -> FeedReader:
        """Every recorded event of the store, of all its nodes and pipelines, in one order, with ids to go on from.

        An async context manager that gives an async iterator of `FeedEntry`: `entry.event`, and `entry.id`, which
        increases. An event of another node comes within half a second. `async with runtime.feed(after=entry.id)`
        goes on with the event after that one, in another process and after a restart as well: none is left out,
        and none comes twice. The order within a run is that of recording.

        Args:
            kinds: As of `subscribe`; but `step.progressed` is not recorded. Default: all.
            after: The id of the last event that is known; 0: the beginning of the store, as long as the feed goes
                back to it. Default: what is recorded from now on.
            run_id: Only events of this run.
            asset: Only events about this asset: name, `Asset` or decorated function. Default: any.

        Raises:
            AssetNotFound: There is no such asset.
            ValueError: There is no such kind, or it is not recorded; or `after` is no whole number of at least 0.
        """
        ctx = self._started()
        name = None if asset is None else asset_named(ctx.snapshot.graph, asset).name
        place = None if after is None else bounded_count("after", after, least=0)
        return FeedReader(ctx.feeds, kinds, after=place, run_id=run_id, asset=name)

    def watch(self, changed: Callable[[], None]) -> AbstractContextManager[None]:
        """Have a function called whenever something was recorded on any node, at most half a second later.

        For who shows what is on record, and reads it again then. It says neither what nor how much has happened;
        many events may be one call.

        Args:
            changed: Called in the runtime's event loop while the context manager is entered. It does not wait.
        """
        return self._started().feeds.feed.watch(changed)

    def tree(self) -> ProcessInfo:
        """The supervision tree at this instant: every process with state, restarts and mailbox depth."""
        self._started()
        return self._shown_tree()

    def _shown_tree(self) -> ProcessInfo:
        """The same, also while the runtime starts: by then other nodes may ask for it."""
        assert self._ctx is not None
        assert self._tree is not None
        ctx = self._ctx
        tree = self._runs.shown(self._tree.tree())
        busy = ctx.threads.statistics()
        threads = ProcessInfo(
            "threads",
            "threads",
            "running",
            abandoned=busy.abandoned,
            detail=f"{busy.busy} of {busy.limit} busy, {busy.queued} queued",
        )
        return replace(tree, children=(*tree.children, threads))

    async def health(self, *, ask: bool = True) -> Health:
        """What works and what does not.

        Args:
            ask: Whether resources and IO managers are asked now. False: what they said last, and nobody is asked.
        """
        ctx = self._started()
        assert self._tree is not None
        keeper = self._tree.child("store").instance
        problem = ctx.store.problem or getattr(keeper, "problem", None)
        return await health(ctx, self._runs, self._tree.tree(), problem, ask=ask)

    def _started(self) -> RuntimeContext:
        if self._ctx is None:
            raise not_running()
        self._ctx.affinity.require()
        return self._ctx
