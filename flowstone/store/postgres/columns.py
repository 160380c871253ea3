"""Rows of the database as records, and records as the columns of a row.

A materialization has a column for what people search by; metadata, failure, inputs and config share one JSON
column that is NULL where there is nothing to say, which is nearly always. Times without a zone are taken as UTC.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, overload

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
    decode_inputs,
    decode_request,
    encode_details,
    encode_event,
    encode_inputs,
    encode_request,
    read_partition,
)
from flowstone.store.event_log import says_the_same
from flowstone.store.postgres.texts import from_json, instant_text, key_of, to_json

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime

    from flowstone.runs.events import Event
    from flowstone.store.event_log import Ending

__all__ = [
    "COUNTED",
    "StepRows",
    "creation_of",
    "ending_texts",
    "event_details",
    "event_of",
    "events_of",
    "materialization_of",
    "request_text",
    "run_of",
    "step_key",
    "unowned_columns",
    "utc",
]

COUNTED: Final = (Status.SUCCEEDED, Status.FAILED, Status.SKIPPED, Status.REUSED, Status.CANCELLED)
_IN_COLUMNS: Final = frozenset({"kind", "at", "run_id", "asset", "partition_key", "attempt"})
_STATUSES: Final = MappingProxyType({status.value: status for status in Status})
_ONLY_INPUTS: Final = frozenset({"inputs"})
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


def unowned_columns(runs: Iterable[RunRecord]) -> tuple[list[Any], ...]:
    """Runs that nobody owns: id, pipeline, asset, request, instant, steps and priority of each."""
    rows = [
        (
            run.id,
            run.pipeline,
            run.request.asset,
            request_text(run),
            utc(run.created_at),
            run.total,
            run.priority,
        )
        for run in runs
    ]
    return tuple(map(list, zip(*rows, strict=True)))


def run_of(row: Mapping[str, Any]) -> RunRecord:
    """A row of `runs`."""
    return RunRecord(
        row["id"],
        row["pipeline"],
        decode_request(from_json(row["request"])),
        _STATUSES[row["status"]],
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
    return RunQueued(run.created_at, run.id, run.request.asset, run.request, partition_key=key)


# Events -----------------------------------------------------------------------------------------------------


def event_details(event: Event) -> str | None:
    """What an event says beyond the columns of `events`."""
    if type(event) is StepStarted:  # Half of all events.
        return None if event.node is None else to_json({"node": event.node})
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


def events_of(row: Mapping[str, Any]) -> list[tuple[int, Event]]:
    """A row of a run's log as events with their numbers: one, or the starts of first attempts that it holds."""
    last, assets = row["number"], row["starts_asset"]
    if assets is None:
        return [(last, event_of(row))]
    run_id, node = row["run_id"], row["starts_node"]
    starts = zip(row["starts_at"], assets, row["starts_key"], strict=True)
    return [
        (number, StepStarted(at, run_id, asset, key_of(key), 1, node))
        for number, (at, asset, key) in enumerate(starts, last - len(assets) + 1)
    ]


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


def ending_texts(event: Ending) -> tuple[str | None, ...]:
    """The event where it differs from its record; columns `status` … `details` of `materializations`."""
    record = event.materialization
    size = record.size
    return (
        None if says_the_same(event, record) else to_json(encode_event(event)),
        record.status,
        str(record.attempt),
        instant_text(record.started_at),
        instant_text(record.finished_at),
        record.code_version,
        record.data_version,
        record.location,
        record.io,
        None if size is None else str(size),
        _details_text(record),
    )


def _details_text(record: Materialization) -> str | None:
    if record.metadata or record.failure or record.config is not None:
        return to_json(encode_details(record))
    return to_json({"inputs": encode_inputs(record.inputs)}) if record.inputs else None


def materialization_of(row: Mapping[str, Any]) -> Materialization:
    """A row of `materializations`."""
    key = key_of(row["key"])
    details = row["details"]
    data: Mapping[str, Any] = _NOTHING if details is None else from_json(details)
    if data.keys() <= _ONLY_INPUTS:  # Nearly always.
        inputs, rest = decode_inputs(data.get("inputs", ())), _NOTHING
    else:
        rest = decode_details(data)
        inputs = rest.get("inputs", ())
    return Materialization(
        row["asset"],
        None if key is None else read_partition(key),
        key,
        row["run_id"],
        _STATUSES[row["status"]],
        row["attempt"],
        row["started_at"],
        row["finished_at"],
        rest.get("failure"),
        rest.get("metadata", {}),
        row["code_version"],
        row["data_version"],
        row["location"],
        inputs,
        row["io"],
        row["size"],
        rest.get("config"),
    )


class StepRows(Sequence[Materialization]):
    """Rows of `materializations` as records, each made when it is first looked at: of many, few ever are."""

    __slots__ = ("_rows",)

    def __init__(self, rows: Sequence[Any]) -> None:
        self._rows = list(rows)

    @overload
    def __getitem__(self, index: int) -> Materialization: ...
    @overload
    def __getitem__(self, index: slice) -> StepRows: ...
    def __getitem__(self, index: int | slice) -> Materialization | StepRows:
        if isinstance(index, slice):
            return StepRows(self._rows[index])
        row = self._rows[index]
        if not isinstance(row, Materialization):
            row = self._rows[index] = materialization_of(row)
        return row

    def __len__(self) -> int:
        return len(self._rows)

    def __eq__(self, other: object) -> bool:
        return list(self) == list(other) if isinstance(other, StepRows | list) else NotImplemented

    __hash__ = None  # type: ignore[assignment]  # compared like a list, hashed like one

    def __repr__(self) -> str:
        return repr(list(self))

    def __reduce__(self) -> tuple[type[list[Any]], tuple[list[Materialization]]]:
        return list, (list(self),)  # A row of the driver cannot be pickled.


def step_key(row: Mapping[str, Any]) -> tuple[str, str | None]:
    """Asset and partition key of a row."""
    return row["asset"], key_of(row["key"])
