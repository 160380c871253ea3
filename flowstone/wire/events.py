"""What happened, and which of it somebody follows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from flowstone.wire.model import Given, Instant, Model, Text
from flowstone.wire.values import FailureModel, label

if TYPE_CHECKING:
    from flowstone.store.feed import FeedEntry

__all__ = ["EventModel", "EventsQuery"]


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
    partition: str | None = None
    """The partition it is about."""
    attempt: int | None = None
    """Of a step: which attempt."""
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
    reason: str | None = None
    """Why, for people."""
    failure: FailureModel | None = None
    """Why it failed or was skipped."""
    failures: int | None = None
    """Of an automation: how often it has failed in a row."""
    since: Instant | None = None
    """Of the freshness of an asset: when this began to be so."""

    @classmethod
    def of(cls, entry: FeedEntry) -> EventModel:
        """As the API shows it."""
        event: Any = entry.event
        record = getattr(event, "materialization", None)
        failure = getattr(event, "failure", None) or getattr(record, "failure", None)
        plain = {name: getattr(event, name, None) for name in _PLAIN}
        return cls(
            id=entry.id,
            kind=entry.kind,
            at=event.at,
            run_id=entry.run_id or None,
            asset=entry.asset or None,
            partition=label(event.partition_key),
            failure=FailureModel.of(failure),
            **{name: value for name, value in plain.items() if value not in (None, "")},
        )


_PLAIN: Final = (
    "attempt",
    "name",
    "waits_for",
    "deadline",
    "delay",
    "total",
    "steps",
    "by",
    "reason",
    "failures",
    "since",
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
