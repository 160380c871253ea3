"""What happened, made again of what the API shows of it.

What the API keeps to itself is not in it: results of `context.once`, digests of signal tokens, and, where records
were not asked for, those of steps that have ended.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final, cast

from flowstone.runs import automation_events, events
from flowstone.runs.records import Failure, Materialization, RunSpec, Status, WaitKind
from flowstone.wire.events import EventModel
from flowstone.wire.values import partition_of

__all__ = ["event_of"]


def event_of(told: EventModel) -> automation_events.Event | None:
    """The event; None of a kind that this release does not know."""
    make = _MAKERS.get(told.kind)
    return None if make is None else make(told)


def _step(told: EventModel) -> dict[str, Any]:
    return {
        "at": told.at,
        "run_id": told.run_id or "",
        "asset": told.asset or "",
        "partition_key": told.partition_key,
    }


def _attempt(told: EventModel) -> dict[str, Any]:
    return {**_step(told), "attempt": told.attempt or 0}


def _failure(told: EventModel) -> Failure:
    return Failure("error", "") if told.failure is None else told.failure.as_record()


def _record(told: EventModel) -> Materialization:
    """Its record; what is known of it where that was not asked for."""
    if told.record is not None:
        return told.record.as_record()
    return Materialization(
        told.asset or "",
        partition_of(told.partition_key),
        told.partition_key,
        told.run_id or "",
        Status(told.kind.partition(".")[2]),
        told.attempt or 0,
        finished_at=told.at,
        failure=None if told.failure is None else told.failure.as_record(),
    )


def _queued(told: EventModel) -> events.RunQueued:
    if told.run is not None:
        request = told.run.as_record().request
    else:
        request = RunSpec("materialize", told.asset or "", (told.partition_key,))
    return events.RunQueued(**_step(told), request=request)


def _cancel_requested(told: EventModel) -> events.RunCancelRequested:
    return events.RunCancelRequested(
        **_step(told), reason=told.reason or "", by=told.by, comment=told.comment or ""
    )


def _finished(told: EventModel) -> events.RunFinished:
    return events.RunFinished(**_step(told), status=Status(told.kind.partition(".")[2]))


def _waiting(told: EventModel) -> events.StepWaiting:
    return events.StepWaiting(
        **_attempt(told),
        name=told.name or "",
        waits_for=cast("WaitKind", told.waits_for or "signal"),
        deadline=told.deadline,
        id=told.approval_id or "",
        about=told.about,
    )


def _ended(kind: type[Any], *, attempt: bool = True) -> Callable[[EventModel], Any]:
    def make(told: EventModel) -> Any:
        return kind(**(_attempt(told) if attempt else _step(told)), materialization=_record(told))

    return make


def _automation(kind: type[Any], *names: str) -> Callable[[EventModel], Any]:
    def make(told: EventModel) -> Any:
        given = {name: found for name in names if (found := getattr(told, name)) is not None}
        if "failure" in given:
            given["failure"] = _failure(told)
        return kind(told.at, told.name or "", **given)

    return make


def _freshness(kind: type[Any]) -> Callable[[EventModel], Any]:
    def make(told: EventModel) -> Any:
        return kind(
            told.at,
            told.asset or "",
            told.partition_key,
            told.since or told.at,
            told.within or 0.0,
            told.materialized_at,
        )

    return make


_MAKERS: Final[Mapping[str, Callable[[EventModel], automation_events.Event]]] = MappingProxyType(
    {
        "run.queued": _queued,
        "run.started": lambda told: events.RunStarted(**_step(told), total=told.total or 0),
        "run.cancel_requested": _cancel_requested,
        "run.waiting": lambda told: events.RunWaiting(**_step(told), steps=told.steps or 0),
        "run.succeeded": _finished,
        "run.failed": _finished,
        "run.cancelled": _finished,
        "step.started": lambda told: events.StepStarted(**_attempt(told), node=told.node),
        "step.progressed": lambda told: events.StepProgressed(
            **_attempt(told), fraction=told.fraction or 0.0, message=told.message
        ),
        "step.retried": lambda told: events.StepRetried(
            **_attempt(told), failure=_failure(told), delay=told.delay or 0.0
        ),
        "step.waiting": _waiting,
        "step.woken": lambda told: events.StepWoken(**_attempt(told), name=told.name or "", by=told.by),
        "step.kept": lambda told: events.StepKept(**_attempt(told), name=told.name or ""),
        "step.token_issued": lambda told: events.StepTokenIssued(
            **_attempt(told), name=told.name or "", hash=""
        ),
        "step.succeeded": _ended(events.StepSucceeded),
        "step.failed": _ended(events.StepFailed),
        "step.reused": _ended(events.StepReused, attempt=False),
        "step.skipped": _ended(events.StepSkipped, attempt=False),
        "step.cancelled": _ended(events.StepCancelled),
        "automation.failed": _automation(automation_events.AutomationFailed, "failure", "failures"),
        "automation.paused": _automation(automation_events.AutomationPaused, "by", "reason"),
        "automation.resumed": _automation(automation_events.AutomationResumed, "by"),
        "asset.late": _freshness(automation_events.AssetLate),
        "asset.overdue": _freshness(automation_events.AssetOverdue),
        "asset.fresh": _freshness(automation_events.AssetFresh),
    }
)
