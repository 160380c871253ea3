"""Nodes, what they do, and how well they are."""

from __future__ import annotations

from flowstone.actors import ProcessInfo
from flowstone.runs.queued_step import QueuedStep
from flowstone.runs.running_step import RunningStep
from flowstone.runtime.client.health import Health
from flowstone.runtime.client.nodes import NodeStatus
from flowstone.wire.model import Instant, Model
from flowstone.wire.paging import Listed
from flowstone.wire.values import label

__all__ = ["HealthModel", "NodeModel", "NodesQuery", "ProcessModel"]


class ProcessModel(Model):
    """A process of a supervision tree."""

    name: str
    """Its name."""
    kind: str
    """`supervisor`, `actor`, `runnable`, `tasks` or `task`."""
    state: str
    """`starting`, `running`, `restarting`, `stopping`, `stopped` or `ignored`."""
    restarts: int
    """How often its supervisor has restarted it."""
    mailbox_depth: int
    """Messages that wait."""
    detail: str
    """What it is or does."""
    abandoned: list[str]
    """Tasks that could not be stopped and still run."""
    children: list[ProcessModel]
    """The processes below it, in start order."""

    @classmethod
    def of(cls, process: ProcessInfo) -> ProcessModel:
        """As the API shows it."""
        return cls(
            name=process.name,
            kind=process.kind,
            state=process.state,
            restarts=process.restarts,
            mailbox_depth=process.mailbox_depth,
            detail=process.detail,
            abandoned=list(process.abandoned),
            children=[cls.of(child) for child in process.children],
        )


class RunningModel(Model):
    """A step that runs."""

    run_id: str
    """Its run."""
    asset: str
    """Its asset."""
    partition: str | None
    """Its partition."""
    attempt: int
    """Which attempt."""
    started_at: Instant
    """When that began."""
    fraction: float | None
    """How much of it is done, from 0 to 1, if it says so."""
    message: str | None
    """What it says with that."""

    @classmethod
    def of(cls, step: RunningStep) -> RunningModel:
        """As the API shows it."""
        return cls(
            run_id=step.run_id,
            asset=step.asset,
            partition=label(step.partition_key),
            attempt=step.attempt,
            started_at=step.started_at,
            fraction=step.fraction,
            message=step.message,
        )


class QueuedModel(Model):
    """A step that is to begin."""

    run_id: str
    """Its run."""
    asset: str
    """Its asset."""
    partition: str | None
    """Its partition."""
    attempt: int
    """Which attempt."""
    waits_for: str
    """`pool`, `rate`, `place` (among the steps of its run), `slot` (of its node) or `alone`."""
    names: list[str]
    """The pools, the rate, or the step that runs alone."""

    @classmethod
    def of(cls, step: QueuedStep) -> QueuedModel:
        """As the API shows it."""
        return cls(
            run_id=step.run_id,
            asset=step.asset,
            partition=label(step.partition_key),
            attempt=step.attempt,
            waits_for=step.waits_for,
            names=list(step.names),
        )


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
        )


class NodesQuery(Listed):
    """What of them."""

    trees: bool = False
    """Whether each with its supervision tree."""


class HealthModel(Model):
    """How well the node is that answers."""

    status: str
    """`ok`, or `degraded` if anything does not work."""
    problems: list[str]
    """What does not work."""
    node: str
    """Its id."""
    runs: int
    """Live runs."""
    steps: int
    """Steps that hold a slot."""
    waiting: int
    """Steps that wait for a slot."""
    draining: bool
    """Whether new runs are refused."""

    @classmethod
    def of(cls, health: Health, node: str) -> HealthModel:
        """As the API shows it."""
        return cls(
            status=health.status,
            problems=list(health.problems),
            node=node,
            runs=health.runs,
            steps=health.steps,
            waiting=health.waiting,
            draining=health.draining,
        )
