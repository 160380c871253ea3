"""A run's events, without keeping any fact twice.

The event that ends a step says what the step's record says, so its place holds the record itself and the
event is rebuilt when somebody reads it. Only an event that differs from its record is kept as it is.
The start of an attempt may be kept as the tuple of its facts: each step has one, and hardly anybody reads it.
"""

from __future__ import annotations

from itertools import islice
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, TypeAlias

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
from flowstone.runs.records import Materialization, Status

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime

    from flowstone.runs.events import AttemptEvent, Event
    from flowstone.runs.records import StepKey

__all__ = [
    "DENIED",
    "ENDINGS",
    "EVENTS_KEPT",
    "Ending",
    "Entry",
    "EventLog",
    "Started",
    "event_of",
    "says_the_same",
]

EVENTS_KEPT: Final = 10_000
"""Events of a finished run that stay readable: the newest ones."""

Ending: TypeAlias = StepSucceeded | StepFailed | StepReused | StepSkipped | StepCancelled
"""An event that makes a step terminal and carries its record."""

DENIED: Final = frozenset({"rejected", "expired"})
"""Kinds of failures of steps that waited."""

ENDINGS: Final = (StepSucceeded, StepFailed, StepReused, StepSkipped, StepCancelled)
"""The same for `isinstance`, which takes half a microsecond longer to look through a union."""

_SUCCEEDED: Final = Status.SUCCEEDED  # To look it up in the enum takes 90 ns.
_ATTEMPTED: Final[Mapping[Status, type[StepSucceeded | StepFailed | StepCancelled]]] = MappingProxyType(
    {Status.SUCCEEDED: StepSucceeded, Status.FAILED: StepFailed, Status.CANCELLED: StepCancelled}
)
_DECIDED: Final[Mapping[Status, type[StepReused | StepSkipped]]] = MappingProxyType(
    {Status.REUSED: StepReused, Status.SKIPPED: StepSkipped}
)


Started: TypeAlias = "tuple[datetime, str, str, str | None, int, str | None]"
"""The fields of a `StepStarted`."""

Entry: TypeAlias = "Event | Materialization | Started"
"""An event, or what it can be rebuilt from."""


class EventLog:
    """The events of one run, numbered from 1.

    Attributes:
        first: The number of the oldest event kept.
        entries: Events, or what says the same.
    """

    __slots__ = ("entries", "first")

    def __init__(self, entries: Iterable[Entry] = (), first: int = 1) -> None:
        self.entries: list[Entry] = list(entries)
        self.first = first

    def page(self, after: int, limit: int) -> list[tuple[int, Event]]:
        """Events with their numbers, those after number `after`."""
        start = max(0, after + 1 - self.first)
        entries = self.entries[start : start + max(0, limit)]
        return [(self.first + start + place, event_of(entry)) for place, entry in enumerate(entries)]

    def after_waits(self, after: int) -> list[tuple[int, StepWoken | StepFailed]]:
        """What became of steps that waited, with the numbers of the events, after number `after`."""
        start = max(0, after + 1 - self.first)
        found: list[tuple[int, StepWoken | StepFailed]] = []
        for place, entry in enumerate(islice(self.entries, start, None), self.first + start):
            if type(entry) is StepWoken:
                found.append((place, entry))
            elif (
                isinstance(entry, Materialization)
                and entry.failure is not None
                and entry.failure.kind in DENIED
            ):
                event = event_of(entry)
                assert isinstance(event, StepFailed)
                found.append((place, event))
        return found

    def attempt_event(self, step: StepKey) -> AttemptEvent | None:
        """The newest event that says how the attempts of a step go, but for its end."""
        for entry in reversed(self.entries):
            if isinstance(entry, tuple):
                if (entry[2], entry[3]) == step:
                    return StepStarted(*entry)
            elif isinstance(entry, StepStarted | StepRetried | StepWaiting) and (
                (entry.asset, entry.partition_key) == step
            ):
                return entry
        return None

    def trim(self) -> None:
        """Let go of all but the newest `EVENTS_KEPT`."""
        surplus = len(self.entries) - EVENTS_KEPT
        if surplus > 0:
            del self.entries[:surplus]
            self.first += surplus


def says_the_same(event: Ending, record: Materialization) -> bool:
    """Whether the event can be rebuilt from the record it carries."""
    if event.at != record.finished_at:
        return False
    if type(event) is StepSucceeded:  # Nearly always.
        return record.status is _SUCCEEDED and event.attempt == record.attempt
    if isinstance(event, (StepReused, StepSkipped)):
        return _DECIDED.get(record.status) is type(event)
    return event.attempt == record.attempt and _ATTEMPTED.get(record.status) is type(event)


def event_of(entry: Entry) -> Event:
    """The event that an entry of a log stands for."""
    if isinstance(entry, tuple):
        return StepStarted(*entry)
    if not isinstance(entry, Materialization):
        return entry
    at = entry.finished_at
    assert at is not None
    decided = _DECIDED.get(entry.status)
    if decided is not None:
        return decided(at, entry.run_id, entry.asset, entry.partition_key, entry)
    attempted = _ATTEMPTED[entry.status]
    return attempted(at, entry.run_id, entry.asset, entry.partition_key, entry.attempt, entry)
