"""The processes of a supervision tree, and the steps that run or wait on a node."""

from __future__ import annotations

from typing import cast

from flowstone.actors import ProcessInfo
from flowstone.masking import masked
from flowstone.runs.queued_step import QueuedStep, WaitsFor
from flowstone.runs.running_step import RunningStep
from flowstone.wire.model import Instant, Model
from flowstone.wire.values import label

__all__ = ["ProcessModel", "QueuedModel", "RunningModel"]


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
    restarted_at: Instant | None = None
    """When its supervisor restarted it last."""
    crash: str = ""
    """Why it had to; empty if it was restarted because another process had to be."""
    max_restarts: int | None = None
    """Of a supervisor, how many restarts it allows."""
    within: float | None = None
    """In how many seconds."""
    recent_restarts: int = 0
    """How many it counts now."""

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
            restarted_at=process.restarted_at,
            crash=masked(process.crash),
            max_restarts=process.max_restarts,
            within=process.within,
            recent_restarts=process.recent_restarts,
        )

    def as_record(self) -> ProcessInfo:
        """What it shows."""
        return ProcessInfo(
            self.name,
            self.kind,
            self.state,
            self.restarts,
            self.mailbox_depth,
            tuple(child.as_record() for child in self.children),
            tuple(self.abandoned),
            self.detail,
            self.restarted_at,
            self.crash,
            self.max_restarts,
            self.within,
            self.recent_restarts,
        )


class RunningModel(Model):
    """A step that runs."""

    run_id: str
    """Its run."""
    asset: str
    """Its asset."""
    partition: str | None
    """Its partition."""
    partition_key: str | None = None
    """The same as machines write it."""
    attempt: int
    """Which attempt."""
    node: str = ""
    """The node that executes it."""
    started_at: Instant
    """When that began."""
    fraction: float | None
    """How much of it is done, from 0 to 1, if it says so."""
    message: str | None
    """What it says with that."""
    alone: bool = False
    """Whether nothing else begins on its node until it has ended: it was in flight when its node was lost."""

    @classmethod
    def of(cls, step: RunningStep) -> RunningModel:
        """As the API shows it."""
        return cls(
            run_id=step.run_id,
            asset=step.asset,
            partition=label(step.partition_key),
            partition_key=step.partition_key,
            attempt=step.attempt,
            node=step.node,
            started_at=step.started_at,
            fraction=step.fraction,
            message=step.message,
            alone=step.alone,
        )

    def as_record(self) -> RunningStep:
        """What it shows."""
        return RunningStep(
            self.run_id,
            self.asset,
            self.partition_key,
            self.attempt,
            self.node,
            self.started_at,
            self.fraction,
            self.message,
            self.alone,
        )


class QueuedModel(Model):
    """A step that is to begin."""

    run_id: str
    """Its run."""
    asset: str
    """Its asset."""
    partition: str | None
    """Its partition."""
    partition_key: str | None = None
    """The same as machines write it."""
    attempt: int
    """Which attempt."""
    node: str = ""
    """The node that is to execute it."""
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
            partition_key=step.partition_key,
            attempt=step.attempt,
            node=step.node,
            waits_for=step.waits_for,
            names=list(step.names),
        )

    def as_record(self) -> QueuedStep:
        """What it shows."""
        return QueuedStep(
            self.run_id,
            self.asset,
            self.partition_key,
            self.attempt,
            self.node,
            cast("WaitsFor", self.waits_for),
            tuple(self.names),
        )
