"""What can happen in a run, in the past tense: the input of `RunState.apply` and the stream of `subscribe`.

An event is a fact. Step events name their step by asset and partition key, which stays true across
processes and releases; `RunState` finds the step's number from them.

Map of this file
    Run...                              what happens to a run as a whole
    StepStarted, StepProgressed         an attempt is under way
    StepRetried, StepWaiting, StepWoken an attempt is over, and the step is not
    StepKept, StepTokenIssued           what a function put on record in the middle of an attempt
    StepSucceeded ... StepCancelled     a step has ended: each carries its record
"""

from __future__ import annotations

from dataclasses import field
from typing import TYPE_CHECKING, Any, ClassVar, TypeAlias

from flowstone.frozen import frozen

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from flowstone.runs.records import Failure, Materialization, RunSpec, Status, WaitKind

__all__ = [
    "AttemptEvent",
    "Event",
    "RunCancelRequested",
    "RunFinished",
    "RunQueued",
    "RunStarted",
    "RunWaiting",
    "StepCancelled",
    "StepEvent",
    "StepFailed",
    "StepKept",
    "StepProgressed",
    "StepRetried",
    "StepReused",
    "StepSkipped",
    "StepStarted",
    "StepSucceeded",
    "StepTokenIssued",
    "StepWaiting",
    "StepWoken",
]


@frozen
class _OfRun:
    """What every event of a run has.

    Attributes:
        kind: What happened, such as `run.started`.
        at: When it happened; aware, in UTC.
        run_id: The run.
        asset: The target asset's name.
        partition_key: The target's encoded partition key, or None.
    """

    kind: ClassVar[str]
    at: datetime
    run_id: str
    asset: str
    partition_key: str | None = field(default=None, kw_only=True)

    @property
    def exact_kind(self) -> str:
        """The kind that it is told apart by: of the end of a run its outcome (`run.failed`), else `kind`."""
        return self.kind


@frozen
class _OfStep:
    """What every event of a step has.

    Attributes:
        kind: What happened, such as `step.failed`.
        at: When it happened; aware, in UTC.
        run_id: The run.
        asset: The asset's name.
        partition_key: Its encoded partition key, or None.
    """

    kind: ClassVar[str]
    at: datetime
    run_id: str
    asset: str
    partition_key: str | None

    @property
    def exact_kind(self) -> str:
        """The kind that it is told apart by, which is `kind`."""
        return self.kind


@frozen
class _OfAttempt(_OfStep):
    """What every event of an attempt has; the steps that were reused or skipped had none.

    Attributes:
        attempt: 1 for the first attempt.
    """

    attempt: int


@frozen
class RunQueued(_OfRun):
    """The run was written down.

    Attributes:
        request: What was asked for.
    """

    kind: ClassVar[str] = "run.queued"
    request: RunSpec


@frozen
class RunStarted(_OfRun):
    """A node drives the run: `total` steps are planned.

    Attributes:
        total: Steps of its plan.
    """

    kind: ClassVar[str] = "run.started"
    total: int


@frozen
class RunCancelRequested(_OfRun):
    """The run was asked to stop.

    Attributes:
        reason: What brought it about: `asked`, `timeout`, `caller`, `shutdown` or `unwanted`; may be empty.
        by: Who asked for it, or None.
        comment: Why they did, in their words; may be empty.
    """

    kind: ClassVar[str] = "run.cancel_requested"
    reason: str = ""
    by: str | None = None
    comment: str = ""


@frozen
class RunFinished(_OfRun):
    """Every step is terminal and recorded: the run's final status.

    Attributes:
        status: `succeeded`, `failed` or `cancelled`.
    """

    kind: ClassVar[str] = "run.finished"
    status: Status

    @property
    def exact_kind(self) -> str:
        """`run.succeeded`, `run.failed` or `run.cancelled`: what people who listen ask for."""
        return f"run.{self.status.value}"


@frozen
class RunWaiting(_OfRun):
    """Only `steps` that wait are left, so nobody drives the run. `timeout`: seconds of its own that are left."""

    kind: ClassVar[str] = "run.waiting"
    steps: int
    timeout: float | None = None


@frozen
class StepStarted(_OfAttempt):
    """An attempt begins.

    Attributes:
        node: The node that executes it; None where that is not on record.
    """

    kind: ClassVar[str] = "step.started"
    node: str | None = None


@frozen
class StepProgressed(_OfAttempt):
    """The asset said how far it is (`context.progress`); not recorded, only published.

    Attributes:
        fraction: From 0.0 to 1.0.
        message: What is going on, or None.
    """

    kind: ClassVar[str] = "step.progressed"
    fraction: float
    message: str | None = None


@frozen
class StepRetried(_OfAttempt):
    """An attempt failed and another one follows after `delay` seconds.

    Attributes:
        failure: Why.
        delay: Seconds until the next attempt.
    """

    kind: ClassVar[str] = "step.retried"
    failure: Failure
    delay: float


@frozen
class StepWaiting(_OfAttempt):
    """An attempt ended because the step waits for somebody else; nobody's failure.

    Attributes:
        name: What the asset calls the wait; its identity within the step.
        waits_for: An approval, a signal, or an instant (`sleep`).
        deadline: When the wait is over without an answer (aware, UTC), or None.
        timeout: Seconds to the deadline, if they were asked for: the store counts them by its own clock; or None.
        id: What an approval is decided by; empty for what nobody decides.
        about: Of an approval its `message`, `data` and `on_timeout`; or None.
    """

    kind: ClassVar[str] = "step.waiting"
    name: str
    waits_for: WaitKind
    deadline: datetime | None = None
    timeout: float | None = None
    id: str = ""
    about: Mapping[str, Any] | None = None


@frozen
class StepWoken(_OfAttempt):
    """What the step waited for is there, or its time has come: another attempt follows, which is no retry.

    Attributes:
        name: The wait that is over.
        by: Who approved it, or None.
    """

    kind: ClassVar[str] = "step.woken"
    name: str
    by: str | None = None


@frozen
class StepKept(_OfAttempt):
    """The result of a `context.once` is on record: its function is not called again.

    Attributes:
        name: Its name.
        value: The result, as JSON has it; None where the event is read back, because it is kept with the step.
    """

    kind: ClassVar[str] = "step.kept"
    name: str
    value: Any = None


@frozen
class StepTokenIssued(_OfAttempt):
    """Somebody may send the step a signal by a token.

    Attributes:
        name: The signal's name.
        hash: The SHA-256 of the token, in hexadecimal digits.
    """

    kind: ClassVar[str] = "step.token_issued"
    name: str
    hash: str


@frozen
class StepSucceeded(_OfAttempt):
    """The value is stored; `materialization` names the exact object."""

    kind: ClassVar[str] = "step.succeeded"
    materialization: Materialization


@frozen
class StepFailed(_OfAttempt):
    """The last attempt failed; the `failure` of `materialization` says why."""

    kind: ClassVar[str] = "step.failed"
    materialization: Materialization


@frozen
class StepReused(_OfStep):
    """A current value was good enough; nothing ran. `materialization` has the status `reused`."""

    kind: ClassVar[str] = "step.reused"
    materialization: Materialization


@frozen
class StepSkipped(_OfStep):
    """An upstream step failed, so this one never ran; or it is skipped by choice. The failure says why."""

    kind: ClassVar[str] = "step.skipped"
    materialization: Materialization

    @property
    def attempt(self) -> int:
        """The attempt whose function chose to skip the step; 0 if it never ran."""
        return self.materialization.attempt


@frozen
class StepCancelled(_OfAttempt):
    """The run was cancelled before or while this step ran. `attempt` is 0 if none had begun."""

    kind: ClassVar[str] = "step.cancelled"
    materialization: Materialization


StepEvent: TypeAlias = (
    StepStarted
    | StepProgressed
    | StepRetried
    | StepWaiting
    | StepWoken
    | StepKept
    | StepTokenIssued
    | StepSucceeded
    | StepFailed
    | StepReused
    | StepSkipped
    | StepCancelled
)
AttemptEvent: TypeAlias = StepStarted | StepRetried | StepWaiting
Event: TypeAlias = RunQueued | RunStarted | RunWaiting | RunCancelRequested | RunFinished | StepEvent
