"""What each node of a store does: what `runtime.nodes()` gives."""

from __future__ import annotations

import os
import socket
from dataclasses import field, fields
from datetime import datetime
from typing import TYPE_CHECKING, Any

from flowstone.actors import ProcessInfo
from flowstone.frozen import frozen

if TYPE_CHECKING:
    from collections.abc import Mapping

    from flowstone.runs.queued_step import QueuedStep
    from flowstone.runs.running_step import RunningStep
    from flowstone.store.cluster import NodeReport, WatchedNode

__all__ = ["NodeStatus", "process_of", "status_of", "status_of_itself"]


@frozen
class NodeStatus:
    """One runtime of one process, and what it does.

    Attributes:
        id: Its id: the `owner` of the runs that it drives. A process that restarts is another node.
        host: Name of its machine.
        pid: Its process there.
        version: Its FlowStone release.
        pipelines: The pipelines it takes work of; none if it only drives runs of its own.
        capacity: Steps that it runs at a time (`max_concurrency`).
        alive: Whether it has sent a heartbeat within its lease.
        joined_at: When it began (aware, UTC); None where no other node can share the store.
        beat_at: Its last heartbeat, likewise.
        runs: Unfinished runs that it drives.
        running: Steps that run on it, and how far they are: the first 200.
        running_count: How many there are.
        queued: Steps that are to begin on it, and what they wait for: the first 200.
        queued_count: How many there are.
        store: What it tries again against the store, since when and why; or None.
        retried: Runs that it had to give up and goes on with, by id, and why.
        unfit: Runs in the queue that it cannot run by its definitions, by id, and why.
        tree: Its supervision tree, if it was asked for and has been shown; or None.
        tree_at: When that was: it is shown when it has changed (aware, UTC); or None.
        started_at: When it began (aware, UTC), also where no other node can share the store.
        memory: Bytes of memory that its process holds, to the megabyte; or None if that is not known.
        load: How busy its machine was in the last minute: 1.0 is all of its processors, more is what waited for
            one. None if that is not known.
        lease: Seconds of silence after which it is taken for dead; None where no other node can share the store.
        silence: Seconds since its last heartbeat, by the store's clock; likewise.
        resumes: Parked runs with which it goes on, though it takes no work: callers of its own wait for them.
        automates: The pipelines whose schedules, sensors and listeners act on it, once it is its turn.
    """

    id: str
    host: str
    pid: int
    version: str
    pipelines: tuple[str, ...]
    capacity: int
    alive: bool
    joined_at: datetime | None = None
    beat_at: datetime | None = None
    runs: int = 0
    running: tuple[RunningStep, ...] = ()
    running_count: int = 0
    queued: tuple[QueuedStep, ...] = ()
    queued_count: int = 0
    store: str | None = None
    retried: Mapping[str, str] = field(default_factory=dict)
    unfit: Mapping[str, str] = field(default_factory=dict)
    tree: ProcessInfo | None = None
    tree_at: datetime | None = None
    started_at: datetime | None = None
    memory: int | None = None
    load: float | None = None
    lease: float | None = None
    silence: float | None = None
    resumes: tuple[str, ...] = ()
    automates: tuple[str, ...] = ()


def status_of(watched: WatchedNode) -> NodeStatus:
    """What a node has said."""
    node, report = watched.node, watched.report
    return NodeStatus(
        node.id,
        node.host,
        node.pid,
        node.version,
        node.pipelines,
        node.capacity,
        watched.seems_alive,
        watched.joined_at,
        watched.beat_at,
        watched.runs,
        report.running,
        report.running_count,
        report.queued,
        report.queued_count,
        report.store,
        report.retried,
        report.unfit,
        None if watched.tree is None else process_of(watched.tree),
        None if watched.tree is None else watched.tree_at,
        watched.joined_at,
        report.memory,
        report.load,
        node.lease,
        watched.age,
        report.resumes,
        report.automates,
    )


def status_of_itself(
    report: NodeReport,
    node: str,
    pipelines: tuple[str, ...],
    capacity: int,
    runs: int,
    tree: ProcessInfo | None,
    started_at: datetime,
) -> NodeStatus:
    """What the only node of a store says."""
    from importlib.metadata import version  # noqa: PLC0415 - only who asks loads it

    return NodeStatus(
        node,
        socket.gethostname(),
        os.getpid(),
        version("flowstone"),
        pipelines,
        capacity,
        alive=True,
        runs=runs,
        running=report.running,
        running_count=report.running_count,
        queued=report.queued,
        queued_count=report.queued_count,
        store=report.store,
        retried=report.retried,
        unfit=report.unfit,
        tree=tree,
        started_at=started_at,
        memory=report.memory,
        load=report.load,
        resumes=report.resumes,
        automates=report.automates,
    )


def process_of(data: Mapping[str, Any]) -> ProcessInfo:
    """From what a node published, which may be of another release: fields that are not known are left out."""
    known = {each.name: data[each.name] for each in fields(ProcessInfo) if each.name in data}
    known["children"] = tuple(process_of(child) for child in data.get("children", ()))
    known["abandoned"] = tuple(data.get("abandoned", ()))
    if known.get("restarted_at") is not None:
        known["restarted_at"] = datetime.fromisoformat(known["restarted_at"])
    known["restart_times"] = tuple(map(datetime.fromisoformat, data.get("restart_times", ())))
    return ProcessInfo(**known)
