"""How a step ends: every event that ends an attempt or a step is made here, from plain data.

Map of this file
    succeeded, failed, retried, cancelled ...   what an attempt says of itself
    waiting, waits, swallowed, woken, denied    attempts that wait for somebody else
    lost_too_often, handed_over ...             what is said of attempts of which nobody saw the end

Who says that it has ended differs: the attempt itself, the coordinator of its run for steps that never started, the
next owner for what died with a process. What is recorded does not depend on who says it.
"""

from __future__ import annotations

from dataclasses import field, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeAlias

from flowstone.assets.partition_keys import decode_partition
from flowstone.errors import PartitionError
from flowstone.frozen import frozen
from flowstone.masking import masked
from flowstone.runs.events import (
    StepCancelled,
    StepFailed,
    StepRetried,
    StepReused,
    StepSkipped,
    StepStarted,
    StepSucceeded,
    StepWaiting,
    StepWoken,
)
from flowstone.runs.records import Failure, Materialization, Status
from flowstone.runs.waits import wait_id

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from flowstone.errors import Waiting
    from flowstone.runs.plan import RunPlan
    from flowstone.runs.records import Input, RunRecord, WaitKind
    from flowstone.runs.waits import Wait

__all__ = [
    "AttemptEnd",
    "AttemptResult",
    "PlannedStep",
    "Step",
    "as_recorded",
    "cancelled",
    "declined",
    "denied",
    "failed",
    "handed_back",
    "handed_over",
    "is_refused",
    "lost_too_often",
    "refused",
    "retried",
    "reused",
    "skipped",
    "succeeded",
    "success",
    "swallowed",
    "waiting",
    "waits",
    "woken",
]

AttemptEnd: TypeAlias = StepSucceeded | StepFailed | StepSkipped | StepRetried | StepWaiting | StepCancelled
"""The events by which an attempt ends."""

AttemptResult: TypeAlias = AttemptEnd | Materialization
"""What an attempt leaves when it has recorded its end: that, or the record of a success by itself."""


class Step(Protocol):
    """The step that ends, and what its record says whatever became of it.

    Attributes:
        run_id: Its run.
        asset_name: Its asset.
        partition: Its partition as a value, or None.
        key: The same, encoded.
        number: The number of the attempt that ends; 0 if there was none.
        started_at: When that attempt started, or None.
        version: The version of the asset's code, or None.
        io: The name of the IO manager of the asset.
        inputs: The upstream values it was computed from.
        metadata: What the asset noted, JSON-like.
        config: All fields of its config, as JSON, or None.
    """

    @property
    def run_id(self) -> str: ...
    @property
    def asset_name(self) -> str: ...
    @property
    def partition(self) -> Any: ...
    @property
    def key(self) -> str | None: ...
    @property
    def number(self) -> int: ...
    @property
    def started_at(self) -> datetime | None: ...
    @property
    def version(self) -> str | None: ...
    @property
    def io(self) -> str: ...
    @property
    def inputs(self) -> tuple[Input, ...]: ...
    @property
    def metadata(self) -> Mapping[str, Any]: ...
    @property
    def config(self) -> Mapping[str, Any] | None: ...


@frozen
class PlannedStep:
    """A `Step` of which no attempt is at hand."""

    run_id: str
    asset_name: str
    partition: Any
    key: str | None
    number: int = 0
    started_at: datetime | None = None
    version: str | None = None
    io: str = "default"
    inputs: tuple[Input, ...] = ()
    metadata: Mapping[str, Any] = field(default_factory=dict)
    config: Mapping[str, Any] | None = None

    @classmethod
    def of(cls, run_id: str, plan: RunPlan, step: int, attempt: int = 0) -> PlannedStep:
        """A step by its number in the plan."""
        asset, partition, key = plan.step(step)
        return cls(run_id, asset, partition, key, attempt, io=plan.graph[asset].io)

    @classmethod
    def target(cls, run: RunRecord) -> PlannedStep:
        """What a run was asked for, where no plan says which steps it has."""
        key = run.request.keys[0] if run.request.keys else None
        return cls(run.id, run.request.asset, _value(key), key)

    @classmethod
    def of_wait(cls, wait: Wait) -> PlannedStep:
        """A step that waits."""
        key = wait.partition_key
        try:
            partition = _value(key)
        except PartitionError:  # It was made in another way. What waits is to end even so.
            partition = key
        return cls(wait.run_id, wait.asset, partition, key, wait.attempt)

    @classmethod
    def last(cls, event: StepStarted | StepRetried | StepWaiting | StepWoken) -> PlannedStep:
        """The step of an attempt of which this is the last that is recorded."""
        began = event.at if isinstance(event, StepStarted) else None
        return cls(
            event.run_id, event.asset, _value(event.partition_key), event.partition_key, event.attempt, began
        )


def succeeded(
    step: Step, at: datetime, *, data_version: str | None, location: str | None, size: int | None
) -> StepSucceeded:
    """Its value is stored at `location`."""
    record = success(step, at, data_version, location, size)
    return StepSucceeded(at, step.run_id, step.asset_name, step.key, step.number, record)


def success(
    step: Step, at: datetime, data_version: str | None, location: str | None, size: int | None
) -> Materialization:
    """The record of `succeeded`, which is all that there is to say of it."""
    return Materialization(
        step.asset_name,
        step.partition,
        step.key,
        step.run_id,
        _SUCCEEDED,
        step.number,
        step.started_at,
        at,
        None,
        step.metadata,
        step.version,
        data_version,
        location,
        step.inputs,
        step.io,
        size,
        step.config,
    )


def failed(step: Step, at: datetime, failure: Failure) -> StepFailed:
    """It failed for good."""
    record = _record(step, Status.FAILED, at, failure)
    return StepFailed(at, step.run_id, step.asset_name, step.key, step.number, record)


def retried(step: Step, at: datetime, failure: Failure, delay: float) -> StepRetried:
    """Another attempt follows after `delay` seconds."""
    return StepRetried(at, step.run_id, step.asset_name, step.key, step.number, failure, delay)


def waiting(
    step: Step,
    at: datetime,
    name: str,
    waits_for: WaitKind,
    deadline: datetime | None,
    timeout: float | None = None,
    about: Mapping[str, Any] | None = None,
) -> StepWaiting:
    """It waits for somebody else, until `deadline` or for `timeout` seconds if given; the step has not ended."""
    if timeout is not None:
        deadline = at + timedelta(seconds=timeout)
    place = (step.run_id, step.asset_name, step.key)
    known_by = wait_id(*place, name) if waits_for == "approval" else ""
    return StepWaiting(at, *place, step.number, name, waits_for, deadline, timeout, known_by, about)


def waits(step: Step, at: datetime, wait: Waiting) -> StepWaiting:
    """It ended with this, as it should."""
    return waiting(step, at, wait.name, wait.kind, wait.deadline, wait.timeout, wait.about)


def swallowed(name: str, wait: Waiting, failure: Failure | None) -> Failure:
    """The failure of a function that was to end with `Waiting`, and did not.

    Args:
        name: The step, as people know it.
        wait: What it was to end with.
        failure: What it ended with; None if it returned.
    """
    instead = "returned a value"
    if failure is not None:
        instead = f"raised {'Skip: ' if failure.kind == 'skip' else ''}{failure.message}"
    words = (
        f"{name} {wait} and was ended by Waiting, which it did not let pass: it {instead}. Catch Exception instead "
        f"of BaseException or everything, and let no `finally` return or raise."
    )
    if failure is None:
        return Failure("error", words)
    return Failure("error", words, failure.traceback, where=failure.where)


def woken(wait: StepWaiting, at: datetime) -> StepWoken:
    """What it waited for is there, or its time has come: another attempt follows, which is no retry."""
    return StepWoken(at, wait.run_id, wait.asset, wait.partition_key, wait.attempt, wait.name)


def denied(wait: Wait, at: datetime) -> StepFailed:
    """What it waited for was denied to it, or did not come in time: it fails, and its function is not run again."""
    decision = wait.answer or {}
    if wait.status == "rejected":
        by, reason = decision.get("by"), decision.get("reason")
        who = "nobody decided in time" if by is None else f"rejected by {by}"
        words = f"approval {wait.name!r}: {who}" + (f": {reason}" if reason else "")
        failure = Failure("rejected", masked(words))
    else:
        what = "nobody decided" if wait.kind == "approval" else "no signal came"
        until = "" if wait.deadline is None else f" until {wait.deadline:%Y-%m-%d %H:%M:%S} UTC"
        failure = Failure("expired", f"{wait.kind} {wait.name!r}: {what}{until}")
    return failed(PlannedStep.of_wait(wait), at, failure)


def cancelled(step: Step, at: datetime, failure: Failure | None = None) -> StepCancelled:
    """It was stopped with its run, or never started; `failure` says if it did not stop when it was told to."""
    record = _record(step, Status.CANCELLED, at, failure)
    return StepCancelled(at, step.run_id, step.asset_name, step.key, step.number, record)


def skipped(step: Step, at: datetime, cause: str) -> StepSkipped:
    """It never starts, because `cause` (`asset` or `asset[key]`) failed."""
    return _skipped(step, at, Failure("dependency", f"Skipped because {cause} failed.", cause=cause))


def declined(
    step: Step,
    at: datetime,
    choice: Failure | None = None,
    *,
    cause: str = "",
    chosen: Sequence[str] | None = None,
) -> StepSkipped:
    """It is skipped by choice.

    Args:
        step: The step.
        at: Now.
        choice: What its function said, if the choice is its own.
        cause: Whose choice it is otherwise, as `asset` or `asset[key]`.
        chosen: What that one chose, if it is a route.
    """
    if choice is None:
        if chosen is None:
            why = f"Skipped because {cause} was skipped by choice."
        else:
            why = f"Skipped because the route {cause} chose {', '.join(chosen) or 'nothing'}."
        choice = Failure("skip", why, cause=cause)
    return _skipped(step, at, choice)


def _skipped(step: Step, at: datetime, failure: Failure) -> StepSkipped:
    record = _record(step, Status.SKIPPED, at, failure)
    return StepSkipped(at, step.run_id, step.asset_name, step.key, record)


def reused(current: Materialization, run_id: str, at: datetime) -> StepReused:
    """What is current of it is good enough for this run."""
    record = replace(current, run_id=run_id, status=Status.REUSED, attempt=0, finished_at=at, started_at=at)
    return StepReused(at, run_id, current.asset, current.partition_key, record)


# Ends that nobody saw ---------------------------------------------------------------------------------------


def lost_too_often(step: Step, at: datetime) -> StepFailed:
    """Its attempts end with the processes that run them: there is no other one."""
    why = f"Too many attempts, the last one number {step.number}, ended with the process that ran them."
    return failed(step, at, Failure("lost", why))


def handed_over(step: Step, at: datetime) -> StepRetried:
    """The node goes away, and the next attempt is another node's: nobody's failure, and no loss."""
    return retried(step, at, Failure("lost", _SHUT_DOWN, retryable=True), 0.0)


def handed_back(step: Step, at: datetime, why: str) -> StepRetried:
    """The node that was to make the attempt does not, and the run's owner decides again."""
    words = f"It was handed back to the run's owner: {why}."
    return retried(step, at, Failure("lost", words, retryable=True), 0.0)


def refused(event: AttemptEnd, words: str) -> StepFailed:
    """What is recorded instead of an end that the store will not have; with nothing that could be to blame."""
    step = PlannedStep(
        event.run_id, event.asset, _value(event.partition_key), event.partition_key, event.attempt
    )
    return failed(step, event.at, Failure("store", words))


def is_refused(event: AttemptEnd) -> bool:
    """Whether it is recorded instead of an end that the store would not have."""
    failure = event.materialization.failure if isinstance(event, StepFailed) else None
    return failure is not None and failure.kind == "store"


def as_recorded(record: Materialization, attempt: int) -> AttemptEnd | None:
    """The end of an attempt as the record of its step tells it; None if the step has not ended."""
    if record.finished_at is None:
        return None
    if record.status is Status.SKIPPED:
        return StepSkipped(record.finished_at, record.run_id, record.asset, record.partition_key, record)
    kind: type[StepSucceeded | StepFailed | StepCancelled] = StepCancelled
    if record.status is Status.SUCCEEDED:
        kind = StepSucceeded
    elif record.status is Status.FAILED:
        kind = StepFailed
    return kind(record.finished_at, record.run_id, record.asset, record.partition_key, attempt, record)


_SUCCEEDED: Final = Status.SUCCEEDED  # To look it up in the enum takes 90 ns, in a step's way.
_SHUT_DOWN: Final = "The node that ran this attempt was shut down."


def _record(
    step: Step,
    status: Status,
    at: datetime,
    failure: Failure | None,
) -> Materialization:
    return Materialization(
        step.asset_name,
        step.partition,
        step.key,
        step.run_id,
        status,
        step.number,
        step.started_at,
        at,
        failure,
        step.metadata,
        step.version,
        inputs=step.inputs,
        io=step.io,
        config=step.config,
    )


def _value(key: str | None) -> Any:
    return None if key is None else decode_partition(key)
