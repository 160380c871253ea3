"""What is true of a runtime at this instant: its definitions, its place among the nodes, and what lives in it.

definitions     graph, pipelines, pipeline_of, select
this process    loop, node, live_runs, running_steps, queued_steps, tree, health
all nodes       nodes, and what happens on them as it happens: subscribe, feed, watch
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from flowstone.actors import ProcessInfo
from flowstone.assets.selection import select
from flowstone.runtime.client.health import Health, health
from flowstone.runtime.client.nodes import NodeStatus, status_of, status_of_itself
from flowstone.runtime.client.requests import asset_named, bounded_count
from flowstone.runtime.cluster.node_report import WATCHED_STEPS, node_report, queued_steps, running_steps
from flowstone.runtime.loop_affinity import not_running
from flowstone.runtime.services.feed import FeedReader

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from flowstone.actors import Supervisor
    from flowstone.assets.graph import AssetGraph
    from flowstone.runs.queued_step import QueuedStep
    from flowstone.runs.records import RunRecord
    from flowstone.runs.running_step import RunningStep
    from flowstone.runtime.cluster.node_watch import NodeWatch
    from flowstone.runtime.context import RuntimeContext
    from flowstone.runtime.run.local_runs import LocalRuns
    from flowstone.runtime.services.events import Subscription

__all__ = ["Observation"]


class Observation:
    """The calls of `Runtime` that look at what lives. Its parts are there from the moment it is entered."""

    _ctx: RuntimeContext | None
    _runs: LocalRuns
    _tree: Supervisor | None
    _node_watch: NodeWatch | None
    _worker: bool

    # Definitions --------------------------------------------------------------------------------------------

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

    def select(self, selection: str) -> tuple[str, ...]:
        """The names of the assets that a selection means, upstream before downstream; constants are not among them.

        Args:
            selection: `report`, `+report` (with all upstream of it), `raw+` (downstream), `2+report` (two steps of
                it), `tag:team=core`, `*`; joined by commas (or) and spaces (and); `-x` leaves out.

        Raises:
            SelectionError: It cannot be read, or names what there is not; the message shows where.
        """
        return select(self._started().snapshot.graph, selection)

    # This process -------------------------------------------------------------------------------------------

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

    # All nodes ----------------------------------------------------------------------------------------------

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

    def _started(self) -> RuntimeContext:
        if self._ctx is None:
            raise not_running()
        self._ctx.affinity.require()
        return self._ctx
