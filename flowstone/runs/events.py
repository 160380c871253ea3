"""What can happen in a run, in the past tense: the input of `RunState.apply` and the stream of `subscribe`.

An event is a fact. Step events name their step by asset and partition key, which stays true across
processes and releases; `RunState` finds the step's number from them.

Map of this file
    Run...                              what happens to a run as a whole
    StepStarted, StepProgressed         an attempt is under way
    StepRetried, StepWaiting, StepWoken an attempt is over, and the step is not
    StepSucceeded ... StepCancelled     a step has ended: each carries its record
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, TypeAlias

from flowstone.frozen import frozen

if TYPE_CHECKING:
    from datetime import datetime

    from flowstone.runs.records import Failure, Materialization, RunRequest, Status, WaitKind

__all__ = [
    "Event",
    "RunCancelRequested",
    "RunFinished",
    "RunQueued",
    "RunStarted",
    "RunWaiting",
    "StepCancelled",
    "StepEvent",
    "StepFailed",
    "StepProgressed",
    "StepRetried",
    "StepReused",
    "StepSkipped",
    "StepStarted",
    "StepSucceeded",
    "StepWaiting",
    "StepWoken",
]


@frozen
class RunQueued:
    """The run was written down.

    Attributes:
        at: When it happened; aware, in UTC.
        run_id: The run.
        asset: The target asset's name.
        partition_key: The target's encoded partition key, or None.
        request: What was asked for.
    """

    kind: ClassVar[str] = "run.queued"
    at: datetime
    run_id: str
    asset: str
    request: RunRequest
    partition_key: str | None = None


@frozen
class RunStarted:
    """A node drives the run: `total` steps are planned.

    Attributes:
        at: When it happened; aware, in UTC.
        run_id: The run.
        asset: The target asset's name.
        partition_key: The target's encoded partition key, or None.
        total: Steps of its plan.
    """

    kind: ClassVar[str] = "run.started"
    at: datetime
    run_id: str
    asset: str
    total: int
    partition_key: str | None = None


@frozen
class RunCancelRequested:
    """The run was asked to stop; `reason` is shown to people.

    Attributes:
        at: When it happened; aware, in UTC.
        run_id: The run.
        asset: The target asset's name.
        partition_key: The target's encoded partition key, or None.
        reason: For people; may be empty.
    """

    kind: ClassVar[str] = "run.cancel_requested"
    at: datetime
    run_id: str
    asset: str
    reason: str = ""
    partition_key: str | None = None


@frozen
class RunFinished:
    """Every step is terminal and recorded: the run's final status.

    Attributes:
        at: When it happened; aware, in UTC.
        run_id: The run.
        asset: The target asset's name.
        partition_key: The target's encoded partition key, or None.
        status: `succeeded`, `failed` or `cancelled`.
    """

    kind: ClassVar[str] = "run.finished"
    at: datetime
    run_id: str
    asset: str
    status: Status
    partition_key: str | None = None


@frozen
class RunWaiting:
    """Only `steps` that wait are left, so nobody drives the run. `timeout`: seconds of its own that are left."""

    kind: ClassVar[str] = "run.waiting"
    at: datetime
    run_id: str
    asset: str
    steps: int
    timeout: float | None = None
    partition_key: str | None = None


@frozen
class StepStarted:
    """An attempt begins.

    Attributes:
        at: When it happened; aware, in UTC.
        run_id: The run.
        asset: The asset's name.
        partition_key: Its encoded partition key, or None.
        attempt: 1 for the first attempt.
    """

    kind: ClassVar[str] = "step.started"
    at: datetime
    run_id: str
    asset: str
    partition_key: str | None
    attempt: int


@frozen
class StepProgressed:
    """The asset said how far it is (`context.progress`); not recorded, only published.

    Attributes:
        at: When it happened; aware, in UTC.
        run_id: The run.
        asset: The asset's name.
        partition_key: Its encoded partition key, or None.
        attempt: 1 for the first attempt.
        fraction: From 0.0 to 1.0.
        message: What is going on, or None.
    """

    kind: ClassVar[str] = "step.progressed"
    at: datetime
    run_id: str
    asset: str
    partition_key: str | None
    attempt: int
    fraction: float
    message: str | None = None


@frozen
class StepRetried:
    """An attempt failed and another one follows after `delay` seconds.

    Attributes:
        at: When it happened; aware, in UTC.
        run_id: The run.
        asset: The asset's name.
        partition_key: Its encoded partition key, or None.
        attempt: The one that failed.
        failure: Why.
        delay: Seconds until the next attempt.
    """

    kind: ClassVar[str] = "step.retried"
    at: datetime
    run_id: str
    asset: str
    partition_key: str | None
    attempt: int
    failure: Failure
    delay: float


@frozen
class StepWaiting:
    """An attempt ended because the step waits for somebody else; nobody's failure.

    Attributes:
        at: When it happened; aware, in UTC.
        run_id: The run.
        asset: The asset's name.
        partition_key: Its encoded partition key, or None.
        attempt: The one that ended.
        name: What the asset calls the wait; its identity within the step.
        waits_for: An approval, a signal, or an instant (`sleep`).
        deadline: When the wait is over without an answer (aware, UTC), or None.
        timeout: Seconds to the deadline, if they were asked for: the store counts them by its own clock; or None.
    """

    kind: ClassVar[str] = "step.waiting"
    at: datetime
    run_id: str
    asset: str
    partition_key: str | None
    attempt: int
    name: str
    waits_for: WaitKind
    deadline: datetime | None = None
    timeout: float | None = None


@frozen
class StepWoken:
    """What the step waited for is there, or its time has come: another attempt follows, which is no retry.

    Attributes:
        at: When it happened; aware, in UTC.
        run_id: The run.
        asset: The asset's name.
        partition_key: Its encoded partition key, or None.
        attempt: The one that waited.
        name: The wait that is over.
    """

    kind: ClassVar[str] = "step.woken"
    at: datetime
    run_id: str
    asset: str
    partition_key: str | None
    attempt: int
    name: str


@frozen
class StepSucceeded:
    """The value is stored; `materialization` names the exact object.

    Attributes:
        at: When it happened; aware, in UTC.
        run_id: The run.
        asset: The asset's name.
        partition_key: Its encoded partition key, or None.
        attempt: The one that succeeded.
        materialization: The record of the step.
    """

    kind: ClassVar[str] = "step.succeeded"
    at: datetime
    run_id: str
    asset: str
    partition_key: str | None
    attempt: int
    materialization: Materialization


@frozen
class StepFailed:
    """The last attempt failed.

    Attributes:
        at: When it happened; aware, in UTC.
        run_id: The run.
        asset: The asset's name.
        partition_key: Its encoded partition key, or None.
        attempt: The last one.
        materialization: The record of the step; its `failure` says why.
    """

    kind: ClassVar[str] = "step.failed"
    at: datetime
    run_id: str
    asset: str
    partition_key: str | None
    attempt: int
    materialization: Materialization


@frozen
class StepReused:
    """A current value was good enough; nothing ran. `materialization` has the status `reused`.

    Attributes:
        at: When it happened; aware, in UTC.
        run_id: The run.
        asset: The asset's name.
        partition_key: Its encoded partition key, or None.
        materialization: The record of the step: the current value, with the status `reused`.
    """

    kind: ClassVar[str] = "step.reused"
    at: datetime
    run_id: str
    asset: str
    partition_key: str | None
    materialization: Materialization


@frozen
class StepSkipped:
    """An upstream step failed, so this one never ran; the failure's `cause` names it.

    Attributes:
        at: When it happened; aware, in UTC.
        run_id: The run.
        asset: The asset's name.
        partition_key: Its encoded partition key, or None.
        materialization: The record of the step; the `cause` of its `failure` names the step that failed.
    """

    kind: ClassVar[str] = "step.skipped"
    at: datetime
    run_id: str
    asset: str
    partition_key: str | None
    materialization: Materialization


@frozen
class StepCancelled:
    """The run was cancelled before or while this step ran.

    Attributes:
        at: When it happened; aware, in UTC.
        run_id: The run.
        asset: The asset's name.
        partition_key: Its encoded partition key, or None.
        attempt: The one that was stopped; 0 if none had begun.
        materialization: The record of the step.
    """

    kind: ClassVar[str] = "step.cancelled"
    at: datetime
    run_id: str
    asset: str
    partition_key: str | None
    attempt: int
    materialization: Materialization


StepEvent: TypeAlias = (
    StepStarted
    | StepProgressed
    | StepRetried
    | StepWaiting
    | StepWoken
    | StepSucceeded
    | StepFailed
    | StepReused
    | StepSkipped
    | StepCancelled
)
Event: TypeAlias = RunQueued | RunStarted | RunWaiting | RunCancelRequested | RunFinished | StepEvent
