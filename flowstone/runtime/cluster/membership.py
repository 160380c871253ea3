"""The processes through which this node belongs to the cluster, whatever it drives or executes.

`Cancellations` stops runs of this node which somebody cancelled on another one.

`Membership` joins, and is there for as long as the runtime lives. Its process learns what the other nodes are,
shows its supervision tree to whoever asks, says what it tries again, and makes good the loss of its own lease: what
it drove may belong to somebody else by then, and is given up. When the runtime stops for good, it leaves, so that
nobody has to wait for its lease.
"""

from __future__ import annotations

import logging
import os
import socket
from dataclasses import asdict, is_dataclass, replace
from functools import cache
from typing import TYPE_CHECKING, Any

from flowstone.errors import StoreUnavailable
from flowstone.masking import masked
from flowstone.runtime.cluster.node_report import STEPS, WATCHED_STEPS, node_report
from flowstone.runtime.cluster.poller import Poller
from flowstone.runtime.cluster.watched import REPORT_INTERVAL, Watched
from flowstone.runtime.run.control import Cancel, GiveUp
from flowstone.runtime.services.notifications import Wakeup
from flowstone.store.cluster import Node, NodeReport, Notification

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from flowstone.actors import ProcessInfo
    from flowstone.runtime.context import RuntimeContext
    from flowstone.runtime.run.local_runs import LocalRuns
    from flowstone.store.cluster import Cluster

__all__ = ["Cancellations", "Membership", "MembershipProcess", "tree_as_data"]


_log = logging.getLogger(__name__)

_TREE_INTERVAL = 30.0  # Seconds between two publications of the tree that nobody asked for.


class Cancellations(Poller):
    """Asks which runs are to be cancelled, when told to and at every look."""

    kinds = ("cancel", "look")
    unanswered = "it does not say which runs are to be cancelled"

    def __init__(self, ctx: RuntimeContext, runs: LocalRuns, cluster: Cluster) -> None:
        super().__init__(ctx)
        self._runs = runs
        self._cluster = cluster

    async def _poll(self) -> None:
        if not self._runs.live:
            return
        for run_id in await self._cluster.cancelling(self._ctx.node):
            run = self._runs.live.get(run_id)
            if run is not None:
                run.ask(Cancel("asked", recorded=True))


class Membership:
    """One node among others, for as long as the runtime lives, whatever is restarted.

    What has to be made good outlives the process that does so: a lease that was lost is still lost for the next
    incarnation, which is woken for it.

    Args:
        ctx: What the runtime offers.
        runs: What this node drives.
        cluster: The port.
        worker: Whether the node takes work of others.
        automate: Whether automations act on it.
        tree: The runtime's supervision tree, now.

    Attributes:
        lost: Whether the lease was lost, and what others took is not yet given up.
        wake: Wakes the process, or the next one.
        watched: Who looks at what this node does.
    """

    def __init__(
        self,
        ctx: RuntimeContext,
        runs: LocalRuns,
        cluster: Cluster,
        *,
        worker: bool,
        automate: bool,
        tree: Callable[[], ProcessInfo],
    ) -> None:
        self._ctx = ctx
        self._runs = runs
        self._cluster = cluster
        self._worker = worker
        self._automate = automate
        self._tree = tree
        self._pipelines_held = ctx.snapshot.names
        self._said = NodeReport()
        self._shown: Mapping[str, Any] | None = None
        self.watched = Watched(ctx.clock)
        self.lost = False
        self.wake = Wakeup()

    def process(self) -> MembershipProcess:
        """The next incarnation of the process that does what is to be done."""
        return MembershipProcess(self._ctx, self._runs, self._cluster, self)

    async def join(self) -> None:
        """Introduce this node. Before any run is written down, which nobody alive would own otherwise."""
        ctx = self._ctx
        settings = ctx.settings
        node = Node(
            id=ctx.node,
            host=socket.gethostname(),
            pid=os.getpid(),
            version=_version(),
            pipelines=ctx.snapshot.names if self._worker else (),
            capacity=settings.max_concurrency,
            lease=settings.lease,
        )
        await self._cluster.join(node, self._on_lost)
        self.report()
        ctx.peers.saw(await self._cluster.nodes(trees=False))
        await ctx.peers.look(self._cluster, ctx.snapshot.names)

    def reloaded(self) -> None:
        """The node works by other definitions: the others are to know which pipelines it takes work of now."""
        self._runs.unfit = {}
        self._runs.snoozed.clear()
        self.wake()

    def _on_lost(self) -> None:
        """No beat was acknowledged for a lease: this node was away, or the store was."""
        self.lost = True
        self._ctx.peers.outage()
        self._ctx.notifications.heard(Notification("pool", self._ctx.node))  # Its claims may be gone.
        self.wake()

    def report(self) -> None:
        """Have the beats say what is tried again, what cannot be started and what runs, if that has changed.

        What runs changes all the time: it waits for the next beat, unless somebody watches.
        """
        said, watched = self._said, self.watched
        most = WATCHED_STEPS if watched.now else STEPS
        report = node_report(self._ctx, self._runs, automate=self._automate, most=most, heard=watched.number)
        if report != said:
            self._said = report
            self._cluster.report(report, at_once=watched.now or _but_for_steps(report, said) != said)
        elif (report.memory, report.load) != (said.memory, said.load):
            self._said = report
            self._cluster.report(report, at_once=False)

    @property
    def holds_others(self) -> bool:
        """Whether it takes work of other pipelines than the store knows of."""
        return self._worker and self._pipelines_held != self._ctx.snapshot.names

    async def hold(self) -> None:
        """Say which pipelines it takes work of now. Raises `StoreUnavailable`, as do those below."""
        names = self._ctx.snapshot.names
        await self._cluster.hold(self._ctx.node, names)
        self._pipelines_held = names

    async def show_tree(self, *, asked: bool) -> bool:
        """Publish the tree as it is now, if somebody has asked or it has changed; whether it was published."""
        began = self._ctx.clock.monotonic()
        tree = tree_as_data(self._tree())
        self.watched.looked_at_tree(self._ctx.clock.monotonic() - began)
        if not asked and tree == self._shown:
            return False
        await self._cluster.publish_tree(self._ctx.node, tree)
        self._shown = tree
        return True


class MembershipProcess(Poller):
    """What a membership has to do, when it is to be done.

    Args:
        ctx: What the runtime offers.
        runs: What this node drives.
        cluster: The port.
        membership: What outlives this incarnation.
    """

    kinds = ("nodes", "tree", "watch", "look")
    unanswered = "it does not answer to this node"

    def __init__(
        self, ctx: RuntimeContext, runs: LocalRuns, cluster: Cluster, membership: Membership
    ) -> None:
        super().__init__(ctx)
        self._runs = runs
        self._cluster = cluster
        self._membership = membership
        self._wake = membership.wake
        self._look = False
        self._show = True
        self._shown_at = float("-inf")
        self._spent_at = float("-inf")
        self._spend = False
        self._interval = ctx.settings.lease / 2  # So that it is heard once a lease, whatever is late.

    async def run(self, started: Callable[[], None]) -> None:
        if self._membership.lost:
            self._wake()
        await super().run(started)
        if not self._runs.open:
            await self._leave()

    def stop(self) -> None:
        """Leave, if the runtime stops for good, and return from `run`."""
        self._stopping = True
        self._wake()

    def _heard(self, notification: Notification) -> None:
        membership = self._membership
        if notification.kind == "nodes":
            self._look = True
        elif notification.kind == "tree":
            self._show = self._show or notification.subject in {"", self._ctx.node}
        elif notification.kind == "watch":
            if membership.watched.heard(notification.subject):
                self._wake()
        elif self._ctx.peers.strangers():
            self._look = True
        elif self._ctx.clock.monotonic() - self._shown_at >= _TREE_INTERVAL:
            self._show = True
        if notification.kind == "look":
            membership.report()
        if notification.kind == "look" and self._ctx.clock.monotonic() - self._spent_at >= self._interval:
            self._spend = any(run.driven_from is not None for run in self._runs.live.values())
        if self._look or self._show or membership.lost or self._spend or membership.holds_others:
            self._wake()

    async def _poll(self) -> None:
        """Do what is to be done; what fails because the store is away stays to be done at the next look."""
        if self._stopping:
            return
        if self._membership.lost:
            await self._reconcile()
            self._membership.lost = False
        if self._membership.holds_others:
            await self._membership.hold()
        if self._look:
            self._look = False
            self._ctx.peers.saw(await self._ctx.peers.asked(self._cluster.nodes(trees=False)))
        if self._spend:
            self._spend = False
            await self._say_what_is_spent()
        if self._show or self._membership.watched.wants_tree():
            asked, self._show = self._show, False
            self._shown_at = self._ctx.clock.monotonic()
            if await self._membership.show_tree(asked=asked):
                self._ctx.alarms.clear("store")
        if self._membership.watched.now:  # After the tree, so that no report has heard of more than a tree.
            self._membership.report()

    def _patience(self) -> float | None:
        return REPORT_INTERVAL if self._membership.watched.now else None

    def _unavailable(self, error: StoreUnavailable) -> None:
        self._look = True
        super()._unavailable(error)

    async def _reconcile(self) -> None:
        """Give up the runs that somebody else took while this node did not beat."""
        driven = tuple(self._runs.live.values())
        owned = await self._cluster.owned(self._ctx.node)
        for run in driven:
            epoch = owned.get(run.record.id)
            if epoch is None or epoch > run.record.epoch:
                run.ask(GiveUp())

    async def _say_what_is_spent(self) -> None:
        """For how long runs that have a timeout were driven: whoever takes one over cannot know it otherwise."""
        now = self._spent_at = self._ctx.clock.monotonic()
        spent = {
            run.record.id: now - run.driven_from
            for run in self._runs.live.values()
            if run.driven_from is not None
        }
        await self._cluster.spend(self._ctx.node, spent)

    async def _leave(self) -> None:
        try:
            await self._cluster.leave(self._ctx.node)
        except StoreUnavailable as error:
            _log.warning("The store could not be told that this node leaves; its lease runs out: %s", error)


def _but_for_steps(report: NodeReport, said: NodeReport) -> NodeReport:
    """What it says now, with the steps that it said before."""
    return replace(
        report,
        running=said.running,
        queued=said.queued,
        running_count=said.running_count,
        queued_count=said.queued_count,
    )


def tree_as_data(process: ProcessInfo) -> Mapping[str, Any]:
    """A process and what stands below it, as JSON has it, fit to be shown: why it crashed is masked."""
    assert is_dataclass(process)
    data = asdict(process)
    _make_json(data)
    return data


def _make_json(data: dict[str, Any]) -> None:
    if data["restarted_at"] is not None:
        data["restarted_at"] = data["restarted_at"].isoformat()
        data["crash"] = masked(data["crash"])
        data["restart_times"] = [at.isoformat() for at in data["restart_times"]]
    for child in data["children"]:
        _make_json(child)


@cache
def _version() -> str:
    from importlib.metadata import version  # noqa: PLC0415 - only nodes of a cluster need it

    return version("flowstone")
