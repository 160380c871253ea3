"""The edge of a durable store: records with every free text and every user's value made storable.

What people write (metadata, tags, error messages, reasons) is changed where it cannot be stored. What the
runtime writes (names, keys, ids, locations) is left exactly as it is.
"""

from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, TypeVar

from flowstone.runs.automation_events import AutomationFailed, AutomationPaused, AutomationResumed
from flowstone.runs.events import (
    RunCancelRequested,
    RunQueued,
    StepKept,
    StepRetried,
    StepTokenIssued,
    StepWaiting,
    StepWoken,
)
from flowstone.store.event_log import ENDINGS
from flowstone.store.json_safe import json_safe, safe_text

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from flowstone.runs.audit import Act
    from flowstone.runs.automation import Move
    from flowstone.runs.automation_events import AutomationEvent
    from flowstone.runs.events import Event
    from flowstone.runs.items import ItemRow
    from flowstone.runs.records import Failure, Materialization, RunRecord, RunSpec

__all__ = [
    "sanitised",
    "sanitised_act",
    "sanitised_automation",
    "sanitised_failure",
    "sanitised_item",
    "sanitised_move",
    "sanitised_name",
    "sanitised_record",
    "sanitised_run",
    "sanitised_text",
]

_TEXTS: Final = frozenset({str, type(None)})
_A = TypeVar("_A", bound="AutomationEvent")
_E = TypeVar("_E", bound="Event")


def sanitised(event: _E) -> _E:
    """The event with storable texts and metadata."""
    change = _CHANGES.get(type(event))
    return event if change is None else change(event)


def sanitised_automation(event: _A) -> _A:
    """The event of an automation, with storable texts."""
    if isinstance(event, AutomationFailed):
        return replace(event, failure=sanitised_failure(event.failure))
    if isinstance(event, AutomationPaused | AutomationResumed):
        event = replace(event, by=sanitised_name(event.by))
    return replace(event, reason=safe_text(event.reason)) if isinstance(event, AutomationPaused) else event


def sanitised_text(text: str) -> str:
    """What somebody said, as a column of any database can have it: without NUL as well."""
    return safe_text(text).replace("\0", "\ufffd")


def sanitised_name(name: str | None) -> str | None:
    """Likewise, who it was."""
    return None if name is None else sanitised_text(name)


def sanitised_act(act: Act) -> Act:
    """The act with storable texts."""
    return replace(act, by=sanitised_name(act.by), reason=sanitised_text(act.reason))


def sanitised_run(run: RunRecord) -> RunRecord:
    """The run with storable tags."""
    request = _request(run.request)
    return run if request is run.request else replace(run, request=request)


def sanitised_move(move: Move) -> Move:
    """The change of an automation with storable texts, tags and failures."""
    runs = tuple(replace(run, record=sanitised_run(run.record)) for run in move.runs)
    fire = None
    if move.fire is not None:
        fire = replace(move.fire, reason=safe_text(move.fire.reason), by=safe_text(move.fire.by))
    failure = None if move.failure is None else sanitised_failure(move.failure)
    events = tuple(map(sanitised_automation, move.events))
    act = None if move.act is None else sanitised_act(move.act)
    return replace(move, runs=runs, fire=fire, failure=failure, events=events, act=act)


def sanitised_item(row: ItemRow) -> ItemRow:
    """What became of an item, with storable texts."""
    if row.failure is None and row.key is None:
        return row
    return row._replace(
        key=None if row.key is None else safe_text(row.key),
        failure=None if row.failure is None else sanitised_failure(row.failure),
    )


def sanitised_record(record: Materialization) -> Materialization:
    """The record with storable texts and metadata."""
    if (
        not record.metadata
        and record.failure is None
        and type(record.code_version) in _TEXTS
        and type(record.data_version) in _TEXTS
        and type(record.location) in _TEXTS
    ):
        return record  # Nearly always, and to make a new record takes longer than to encode it.
    return replace(
        record,
        metadata=json_safe(record.metadata),
        failure=None if record.failure is None else sanitised_failure(record.failure),
        code_version=_text(record.code_version),
        data_version=_text(record.data_version),
        location=_text(record.location),
    )


def _text(value: Any) -> str | None:
    """Versions and locations come from users' code, where a number or a path may stand for a text."""
    return value if type(value) in _TEXTS else str(json_safe(value))


def sanitised_failure(failure: Failure) -> Failure:
    """The failure with storable texts."""
    return replace(
        failure,
        message=safe_text(failure.message),
        traceback=safe_text(failure.traceback),
        cause=None if failure.cause is None else safe_text(failure.cause),
        where=safe_text(failure.where),
        frames=safe_text(failure.frames),
    )


def _request(request: RunSpec) -> RunSpec:
    if not request.tags and request.by is None:
        return request
    tags = {_tag(key): _tag(value) for key, value in request.tags.items()}
    return replace(request, tags=tags, by=sanitised_name(request.by))


def _tag(text: object) -> str:
    return sanitised_text(str(json_safe(text)))


def _named(event: Any) -> Any:
    return replace(event, name=safe_text(event.name))


def _woken(event: StepWoken) -> StepWoken:
    return replace(event, name=safe_text(event.name), by=sanitised_name(event.by))


def _cancel(event: RunCancelRequested) -> RunCancelRequested:
    return replace(
        event,
        reason=safe_text(event.reason),
        by=sanitised_name(event.by),
        comment=sanitised_text(event.comment),
    )


def _ending(event: Any) -> Any:
    record = sanitised_record(event.materialization)
    return event if record is event.materialization else replace(event, materialization=record)


_CHANGES: Final[Mapping[type[Any], Callable[[Any], Any]]] = MappingProxyType(
    {
        **dict.fromkeys(ENDINGS, _ending),
        StepRetried: lambda event: replace(event, failure=sanitised_failure(event.failure)),
        StepWaiting: _named,
        StepWoken: _woken,
        StepKept: _named,
        StepTokenIssued: _named,
        RunCancelRequested: _cancel,
        RunQueued: lambda event: replace(event, request=_request(event.request)),
    }
)
"""What has to be done to the events that carry something of the user's; the others are stored as they are."""
