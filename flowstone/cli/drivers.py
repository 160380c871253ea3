"""Who drives the unfinished runs of a store: what a record that says `running` cannot know of its own process.

A store of a single process is looked at for whether a process has it. In a database each node beats: one that has
been silent for a while may be dead, and it takes a lease until other nodes go on with its runs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flowstone.actors import SystemClock
from flowstone.cli.labels import duration
from flowstone.frozen import frozen
from flowstone.runs.records import Status
from flowstone.runtime.cluster.node_watch import NodeWatch
from flowstone.store import FileStore

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from flowstone.runs.records import RunRecord
    from flowstone.runs.running_step import RunningStep
    from flowstone.store import Store
    from flowstone.store.cluster import WatchedNode

__all__ = ["Drivers", "refusals"]

_LATE = 0.5
"""The part of its lease after which a node's heartbeat is late: it sends four in a lease."""


@frozen
class Drivers:
    """The processes that may drive runs of a store, as they were a moment ago.

    Attributes:
        nodes: The nodes of a database; None where only one process can have the store.
        in_use: Whether a process has such a store; None if that is not known.
        holder: The id of that process; None if that is not known.
    """

    nodes: Sequence[WatchedNode] | None
    in_use: bool | None = None
    holder: int | None = None

    @classmethod
    async def of(cls, store: Store) -> Drivers:
        """Look for them; nodes say what they do now."""
        remote: Any = getattr(store, "watched", None)  # Of a server.
        if remote is not None:
            found = await remote()
            return cls(None, in_use=True, holder=found) if isinstance(found, int) else cls(found)
        if store.cluster is not None:
            return cls(await NodeWatch(store.cluster, SystemClock()).nodes())
        return cls(None, store.in_use, store.holder) if isinstance(store, FileStore) else cls(None)

    def holders(self, pipeline: str) -> list[WatchedNode]:
        """The nodes that seem to live and take runs of this pipeline."""
        return [each for each in self.nodes or () if each.seems_alive and pipeline in each.node.pipelines]

    def hold_none(self, pipeline: str) -> bool:
        """Whether no process is there that may hold this pipeline."""
        return self.in_use is False if self.nodes is None else not self.holders(pipeline)

    def none_automates(self, pipeline: str) -> bool:
        """Whether no process is there on which the automations of this pipeline may act."""
        if self.nodes is None:
            return self.in_use is False
        alive = [each for each in self.nodes if each.seems_alive]
        return not any(
            pipeline in each.report.automates or (_is_new(each) and pipeline in each.node.pipelines)
            for each in alive
        )

    def would_go_on(self, run: RunRecord) -> list[WatchedNode]:
        """The nodes that go on with a run whose step has been woken, whether they still live or not.

        They hold its pipeline, drive it, or have a caller that waits for it.
        """
        return [
            each
            for each in self.nodes or ()
            if not each.gone
            and (
                run.pipeline in each.node.pipelines
                or run.id in each.report.resumes
                or each.node.id == run.owner
            )
        ]

    def are_none(self, run: RunRecord) -> bool:
        """Whether no process is there that would go on with a run whose step has just been woken."""
        if self.nodes is None:
            return self.in_use is False
        return not any(each.seems_alive for each in self.would_go_on(run))

    def last_silent(self, run: RunRecord) -> tuple[WatchedNode, str] | None:
        """Of those that would go on with it, if all are silent, the one that was heard of last, and since when."""
        able = self.would_go_on(run)
        if not able or any(each.age < _LATE * each.node.lease for each in able):
            return None
        last = min(able, key=lambda each: each.age)
        return last, _silence(last)

    def left(self, run: RunRecord) -> bool:
        """Whether an unfinished run of a store of a single process is driven by none."""
        if self.in_use is None or run.status.terminal or run.status is Status.WAITING:
            return False
        if run.owner is None or not self.in_use:
            return True
        # The process that has the store may be one of another pipeline, or a command: it leaves the run as it is.
        process = _process_of(run.owner)
        return None not in (self.holder, process) and process != self.holder

    def silent(self, run: RunRecord) -> str | None:
        """Since when nobody has heard of the node that drives a run; None if it is heard of."""
        if self.nodes is None or run.owner is None or run.status.terminal:
            return None
        watched = next((each for each in self.nodes if each.node.id == run.owner), None)
        if watched is None:
            return "is gone"
        if watched.gone:
            return "has stopped"
        if watched.age < _LATE * watched.node.lease:
            return None
        return _silence(watched)

    def alone(self) -> list[tuple[RunningStep, WatchedNode]]:
        """The steps that run alone on their nodes, which seem to live: nothing else begins there meanwhile."""
        return [
            (step, watched)
            for watched in self.nodes or ()
            if watched.seems_alive
            for step in watched.report.running
            if step.alone
        ]

    def mark(self, run: RunRecord) -> str:
        """`no process`, `no heartbeat for 9 s`: what the status of a run leaves out, if nobody drives it."""
        if run.status.terminal or run.status is Status.WAITING:
            return ""
        if self.nodes is None:
            return "no process" if self.left(run) else ""
        if run.owner is None:
            return "no node" if self.are_none(run) else "in the queue"
        silent = self.silent(run)
        return "" if silent is None else _shortened(silent)


def _silence(watched: WatchedNode) -> str:
    return f"has sent no heartbeat for {duration(round(watched.age))}, since {watched.beat_at:%H:%M:%S %Z}"


def refusals(holders: Iterable[WatchedNode], run_id: str) -> Sequence[str]:
    """Why nodes cannot run this run of the queue; one reason for each that cannot."""
    return [watched.report.unfit[run_id] for watched in holders if run_id in watched.report.unfit]


def _process_of(node: str) -> int | None:
    """The id of a node's process, which is the middle of its name; None if it is called otherwise."""
    parts = node.rsplit("-", 2)
    return int(parts[1]) if len(parts) > 2 and parts[1].isdecimal() else None


def _shortened(silent: str) -> str:
    words = silent.partition(",")[0].removeprefix("has sent ")
    return words if words.startswith("no ") else "no node"


def _is_new(each: WatchedNode) -> bool:
    """Whether a node has just joined, so that its beats may not have said yet what it does."""
    return (each.beat_at - each.joined_at).total_seconds() < each.node.lease * _LATE
