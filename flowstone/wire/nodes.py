"""Nodes, and what they do."""

from __future__ import annotations

from flowstone.runtime.client.nodes import NodeStatus
from flowstone.wire.model import Instant, Model
from flowstone.wire.paging import Listed
from flowstone.wire.processes import ProcessModel, QueuedModel, RunningModel

__all__ = ["NodeModel", "NodesQuery"]


class NodeModel(Model):
    """A runtime of one process, and what it does."""

    id: str
    """Its id: the `node` of the runs that it drives."""
    host: str
    """Its machine."""
    pid: int
    """Its process there."""
    version: str
    """Its release."""
    pipelines: list[str]
    """The pipelines it takes work of."""
    capacity: int
    """Steps that it runs at a time."""
    alive: bool
    """Whether it has sent a heartbeat within its lease."""
    joined_at: Instant | None
    """When it began; null where no other node can share the store."""
    beat_at: Instant | None
    """Its last heartbeat, likewise."""
    started_at: Instant | None = None
    """When it began, also where no other node can share the store."""
    memory: int | None = None
    """Bytes of memory that its process holds, if that is known."""
    load: float | None = None
    """How busy its machine was in the last minute, of 1.0 for all processors, if that is known."""
    runs: int
    """Unfinished runs that it drives."""
    running: list[RunningModel]
    """Steps that run on it: the first 200."""
    running_count: int
    """How many there are."""
    queued: list[QueuedModel]
    """Steps that are to begin on it: the first 200."""
    queued_count: int
    """How many there are."""
    store: str | None
    """What it tries again against the store, since when and why."""
    retried: dict[str, str]
    """Runs that it had to give up and goes on with, and why."""
    unfit: dict[str, str]
    """Runs in the queue that it cannot run by its definitions, and why."""
    tree: ProcessModel | None
    """Its supervision tree, if it was asked for and has been shown."""
    tree_at: Instant | None
    """When that was."""
    lease: float | None = None
    """Seconds of silence after which it is taken for dead; null where no other node can share the store."""
    silence: float | None = None
    """Seconds since its last heartbeat, likewise."""
    resumes: list[str]
    """Runs that wait, with which it goes on though it takes no work: callers of its own wait for them."""
    automates: list[str]
    """The pipelines whose schedules and sensors act on it, once it is its turn."""

    @classmethod
    def of(cls, node: NodeStatus) -> NodeModel:
        """As the API shows it."""
        return cls(
            id=node.id,
            host=node.host,
            pid=node.pid,
            version=node.version,
            pipelines=list(node.pipelines),
            capacity=node.capacity,
            alive=node.alive,
            joined_at=node.joined_at,
            beat_at=node.beat_at,
            started_at=node.started_at,
            memory=node.memory,
            load=node.load,
            runs=node.runs,
            running=[RunningModel.of(step) for step in node.running],
            running_count=node.running_count,
            queued=[QueuedModel.of(step) for step in node.queued],
            queued_count=node.queued_count,
            store=node.store,
            retried=dict(node.retried),
            unfit=dict(node.unfit),
            tree=None if node.tree is None else ProcessModel.of(node.tree),
            tree_at=node.tree_at,
            lease=node.lease,
            silence=node.silence,
            resumes=list(node.resumes),
            automates=list(node.automates),
        )

    def as_record(self) -> NodeStatus:
        """What it shows."""
        return NodeStatus(
            self.id,
            self.host,
            self.pid,
            self.version,
            tuple(self.pipelines),
            self.capacity,
            self.alive,
            self.joined_at,
            self.beat_at,
            self.runs,
            tuple(step.as_record() for step in self.running),
            self.running_count,
            tuple(step.as_record() for step in self.queued),
            self.queued_count,
            self.store,
            self.retried,
            self.unfit,
            None if self.tree is None else self.tree.as_record(),
            self.tree_at,
            self.started_at,
            self.memory,
            self.load,
            self.lease,
            self.silence,
            tuple(self.resumes),
            tuple(self.automates),
        )


class NodesQuery(Listed):
    """What of them."""

    trees: bool = False
    """Whether each with its supervision tree."""
