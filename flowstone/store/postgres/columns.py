"""Rows of the database as records, and records as the columns of a row.

A materialization has a column for what people search by; metadata, failure and inputs share one JSON column that
is NULL where there is nothing to say, which is nearly always. Times without a zone are taken as UTC.
"""

from __future__ import annotations

from datetime import UTC
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from flowstone.runs.events import (
    RunQueued,
    StepCancelled,
    StepFailed,
    StepReused,
    StepSkipped,
    StepStarted,
    StepSucceeded,
)
from flowstone.runs.records import Materialization, RunRecord, Status
from flowstone.store.codec import (
    decode_details,
    decode_event,
    decode_request,
    encode_details,
    encode_event,
    encode_request,
    read_partition,
)
from flowstone.store.event_log import says_the_same
from flowstone.store.postgres.texts import from_json, key_of, to_json

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from flowstone.runs.events import Event
    from flowstone.store.event_log import Ending

__all__ = [
    "COUNTED",
    "creation_of",
    "ending_columns",
    "event_details",
    "event_of",
    "materialization_of",
    "request_text",
    "run_of",
    "step_key",
    "utc",
]

COUNTED: Final = (Status.SUCCEEDED, Status.FAILED, Status.SKIPPED, Status.REUSED, Status.CANCELLED)
_IN_COLUMNS: Final = frozenset({"kind", "at", "run_id", "asset", "partition_key", "attempt"})
_NOTHING: Final[Mapping[str, Any]] = MappingProxyType({})
_DECIDED: Final[Mapping[Status, type[StepReused | StepSkipped]]] = MappingProxyType(
    {Status.REUSED: StepReused, Status.SKIPPED: StepSkipped}
)
_ATTEMPTED: Final[Mapping[Status, type[StepSucceeded | StepFailed | StepCancelled]]] = MappingProxyType(
    {Status.SUCCEEDED: StepSucceeded, Status.FAILED: StepFailed, Status.CANCELLED: StepCancelled}
)


def utc(instant: datetime | None) -> datetime | None:
    """The instant, aware."""
    return instant if instant is None or instant.tzinfo is not None else instant.replace(tzinfo=UTC)


# Runs -------------------------------------------------------------------------------------------------------


def request_text(run: RunRecord) -> str:
    """The request as JSON text, the same for equal requests."""
    return to_json(encode_request(run.request))


def run_of(row: Mapping[str, Any]) -> RunRecord:
    """A row of `runs`."""
    return RunRecord(
        row["id"],
        row["pipeline"],
        decode_request(from_json(row["request"])),
        Status(row["status"]),
        row["created_at"],
        row["started_at"],
        row["finished_at"],
        row["owner"],
        row["epoch"],
        row["total"],
        {status.value: row[status.value] for status in COUNTED if row[status.value]},
        key=row["key"],
        priority=row["priority"],
    )


def creation_of(run: RunRecord) -> RunQueued:
    """The first event of a run, which its row says."""
    keys = run.request.keys
    key = keys[0] if len(keys) == 1 else None
    return RunQueued(run.created_at, run.id, run.request.asset, run.request, key)


# Events -----------------------------------------------------------------------------------------------------


def event_details(event: Event) -> str | None:
    """What an event says beyond the columns of `events`."""
    if type(event) is StepStarted:
        return None  # Nothing. It is half of all events.
    data = encode_event(event)
    rest = {name: value for name, value in data.items() if name not in _IN_COLUMNS}
    return to_json(rest) if rest else None


def event_of(row: Mapping[str, Any]) -> Event:
    """A row of a run's log: an event, or the record that says the same as the event that ended its step."""
    if row["kind"] is None:
        return _ending_of(row)
    data: dict[str, Any] = {} if row["details"] is None else from_json(row["details"])
    data |= {"kind": row["kind"], "at": row["at"].isoformat(), "run_id": row["run_id"], "asset": row["asset"]}
    key = key_of(row["key"])
    if key is not None or row["kind"].startswith("step."):
        data["partition_key"] = key
    if row["attempt"] is not None:
        data["attempt"] = row["attempt"]
    return decode_event(data)


def _ending_of(row: Mapping[str, Any]) -> Event:
    if row["event"] is not None:
        return decode_event(from_json(row["event"]))
    record = materialization_of(row)
    at, key = record.finished_at, record.partition_key
    assert at is not None
    decided = _DECIDED.get(record.status)
    if decided is not None:
        return decided(at, record.run_id, record.asset, key, record)
    return _ATTEMPTED[record.status](at, record.run_id, record.asset, key, record.attempt, record)


# Materializations -------------------------------------------------------------------------------------------


def ending_columns(event: Ending) -> tuple[Any, ...]:
    """The columns of `materializations` from `status` to `details`, and the event where it differs."""
    record = event.materialization
    details = encode_details(record) if record.metadata or record.failure or record.inputs else None
    return (
        None if says_the_same(event, record) else to_json(encode_event(event)),
        record.status.value,
        record.attempt,
        utc(record.started_at),
        utc(record.finished_at),
        record.code_version,
        record.data_version,
        record.location,
        record.io,
        record.size,
        None if details is None else to_json(details),
    )


def materialization_of(row: Mapping[str, Any]) -> Materialization:
    """A row of `materializations`."""
    key = key_of(row["key"])
    status = Status(row["status"])
    details: Mapping[str, Any] = _NOTHING
    if row["details"] is not None:
        details = decode_details(from_json(row["details"]))
    return Materialization(
        row["asset"],
        None if key is None else read_partition(key),
        key,
        row["run_id"],
        status,
        row["attempt"],
        row["started_at"],
        row["finished_at"],
        details.get("failure"),
        details.get("metadata", {}),
        row["code_version"],
        row["data_version"],
        row["location"],
        details.get("inputs", ()),
        row["io"],
        row["size"],
    )


def step_key(row: Mapping[str, Any]) -> tuple[str, str | None]:
    """Asset and partition key of a row."""
    return row["asset"], key_of(row["key"])
