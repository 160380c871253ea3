"""What happened, and which of it somebody follows."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any, Final

from pydantic import Field

from flowstone.runs.events import RunQueued
from flowstone.runs.records import RunRecord, Status
from flowstone.wire.materializations import MaterializationModel
from flowstone.wire.model import MOST, Given, Instant, Model, Text
from flowstone.wire.paging import Listed
from flowstone.wire.runs import RunModel
from flowstone.wire.values import FailureModel, label

if TYPE_CHECKING:
    from collections.abc import Collection

    from flowstone.runs.automation_events import Event

__all__ = ["EventModel", "EventsQuery", "RunEventsQuery"]


class EventModel(Model):
    """Something that happened. What an event of its kind does not have is left out."""

    id: int
    """Its id: ids increase, and `Last-Event-ID` goes on after one."""
    kind: str
    """What happened, such as `step.failed`; of the end of a run its outcome, such as `run.failed`."""
    at: Instant
    """When."""
    run_id: str | None = None
    """The run it is about."""
    asset: str | None = None
    """The asset it is about."""
    beside: tuple[str, ...] | None = None
    """Of what happens to a run that was asked for several assets: the others."""
    partition: str | None = None
    """The partition it is about."""
    partition_key: str | None = None
    """The same as machines write it."""
    attempt: int | None = None
    """Of a step: which attempt."""
    node: str | None = None
    """Of an attempt that begins: the node that executes it."""
    name: str | None = None
    """Of an automation, or of what a step waits for: its name."""
    waits_for: str | None = None
    """Of a step that waits: `approval`, `signal` or `sleep`."""
    deadline: Instant | None = None
    """Of a step that waits: when that is over without an answer."""
    delay: float | None = None
    """Of an attempt that failed: seconds until the next one."""
    total: int | None = None
    """Of a run that starts: steps of its plan."""
    steps: int | None = None
    """Of a run that waits: steps that do."""
    by: str | None = None
    """Who did it."""
    comment: str | None = None
    """Of a run that is to be cancelled: what was said with it."""
    reason: str | None = None
    """Why, for people."""
    failure: FailureModel | None = None
    """Why it failed or was skipped."""
    failures: int | None = None
    """Of an automation: how often it has failed in a row."""
    since: Instant | None = None
    """Of the freshness of an asset: when this began to be so."""
    within: float | None = None
    """Of the freshness of an asset: seconds after which it is late."""
    materialized_at: Instant | None = None
    """Of the freshness of an asset: when its value was computed."""
    fraction: float | None = None
    """Of a step that says how far it is: from 0 to 1."""
    message: str | None = None
    """Of a step that says how far it is: what it says with that."""
    approval_id: str | None = None
    """Of a step that waits for an approval: what it is decided by."""
    about: dict[str, Any] | None = None
    """Of a step that waits for an approval: its `message` and `data`."""
    record: MaterializationModel | None = None
    """Of a step that has ended: its record, where that was asked for."""
    run: RunModel | None = None
    """Of a run that was asked for: what was asked for, where that was asked for."""

    def text(self) -> str:
        """As one line of JSON, without what an event of its kind does not have."""
        shown = {name: value for name, value in self.model_dump(mode="json").items() if value is not None}
        return json.dumps(shown, ensure_ascii=False, separators=(",", ":"))

    @classmethod
    def of(
        cls, event: Event, number: int, *, records: bool = False, beside: Collection[str] = ()
    ) -> EventModel:
        """As the API shows it.

        Args:
            event: The event.
            number: Its id.
            records: Whether the end of a step comes with its record.
            beside: The other assets it is about.
        """
        told: Any = event
        record = getattr(told, "materialization", None)
        failure = getattr(told, "failure", None) or getattr(record, "failure", None)
        plain = {name: getattr(told, name, None) for name in _PLAIN}
        return cls(
            id=number,
            kind=event.exact_kind,
            at=event.at,
            run_id=event.run_id or None,
            asset=event.asset or None,
            beside=tuple(beside) or None,
            partition=label(event.partition_key),
            partition_key=event.partition_key,
            failure=FailureModel.of(failure, traceback=records),
            approval_id=getattr(told, "id", None) or None,
            about=None if getattr(told, "about", None) is None else dict(told.about),
            record=MaterializationModel.of(record, traceback=True) if records and record else None,
            run=_asked_for(event) if records and isinstance(event, RunQueued) else None,
            **{name: value for name, value in plain.items() if value not in (None, "")},
        )


def _asked_for(event: RunQueued) -> RunModel:
    return RunModel.of(RunRecord(event.run_id, "", event.request, Status.QUEUED, event.at), every=True)


_PLAIN: Final = (
    "attempt",
    "node",
    "name",
    "waits_for",
    "deadline",
    "delay",
    "total",
    "steps",
    "by",
    "reason",
    "comment",
    "failures",
    "since",
    "within",
    "materialized_at",
    "fraction",
    "message",
)
"""What is shown of an event as it is. Hashes of tokens and what assets keep for themselves are not among it."""


class EventsQuery(Given):
    """Which events."""

    kind: tuple[Text, ...] = ()
    """Only those of this kind, or of one of these: `step.failed`, `run.finished`, …, or a first word: `run`,
    `step`, `asset`, `automation`."""
    run: Text | None = None
    """Only those of this run."""
    asset: Text | None = None
    """Only those about this asset."""
    records: bool = False
    """Whether the end of a step comes with its record."""


class RunEventsQuery(Listed):
    """Which events of a run."""

    number: Annotated[int, Field(ge=0, le=MOST)] = 0
    """Only those after this number; with a cursor, which has its place, of no use."""
    records: bool = False
    """Whether the end of a step comes with its record."""
