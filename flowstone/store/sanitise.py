"""The edge of a durable store: records with every free text and every user's value made storable.

What people write (metadata, tags, error messages, reasons) is changed where it cannot be stored. What the
runtime writes (names, keys, ids, locations) is left exactly as it is.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

from flowstone.runs.events import RunCancelRequested, RunQueued, StepRetried
from flowstone.store.event_log import ENDINGS
from flowstone.store.json_safe import json_safe, safe_text

if TYPE_CHECKING:
    from flowstone.runs.events import Event
    from flowstone.runs.records import Failure, Materialization, RunRecord, RunRequest

__all__ = ["sanitised", "sanitised_run"]

_E = TypeVar("_E", bound="Event")


def sanitised(event: _E) -> _E:
    """The event with storable texts and metadata."""
    if isinstance(event, ENDINGS):
        record = _record(event.materialization)
        return event if record is event.materialization else replace(event, materialization=record)
    if isinstance(event, StepRetried):
        return replace(event, failure=_failure(event.failure))
    if isinstance(event, RunCancelRequested):
        return replace(event, reason=safe_text(event.reason))
    if isinstance(event, RunQueued):
        return replace(event, request=_request(event.request))
    return event


def sanitised_run(run: RunRecord) -> RunRecord:
    """The run with storable tags."""
    return replace(run, request=_request(run.request))


def _record(record: Materialization) -> Materialization:
    if not record.metadata and record.failure is None and _are_texts(record):
        return record  # Nearly always, and to make a record anew takes longer than to encode it.
    return replace(
        record,
        metadata=json_safe(record.metadata),
        failure=None if record.failure is None else _failure(record.failure),
        code_version=_text(record.code_version),
        data_version=_text(record.data_version),
        location=_text(record.location),
    )


def _are_texts(record: Materialization) -> bool:
    given = record.code_version, record.data_version, record.location
    return all(value is None or type(value) is str for value in given)


def _text(value: Any) -> str | None:
    """Versions and locations come from users' code, where a number or a path may stand for a text."""
    return value if value is None or type(value) is str else str(json_safe(value))


def _failure(failure: Failure) -> Failure:
    return replace(
        failure,
        message=safe_text(failure.message),
        traceback=safe_text(failure.traceback),
        cause=None if failure.cause is None else safe_text(failure.cause),
        where=safe_text(failure.where),
        frames=safe_text(failure.frames),
    )


def _request(request: RunRequest) -> RunRequest:
    if not request.tags:
        return request
    tags = {str(json_safe(key)): str(json_safe(value)) for key, value in request.tags.items()}
    return replace(request, tags=tags)
