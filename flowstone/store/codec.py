"""Runs, events and materializations as JSON-able dicts, and back, exactly.

Each record has a *shape*: its fields, with a pair of converters where JSON has no word for the value. A field
that has its default is left out, which halves a journal. Nothing is looked up by a name that was read: a dict
can only become one of the types of this file.

Exact means equal: `decode(encode(x)) == x` for what a durable store takes (see `sanitise`). A partition is
read from its key, which `encode_partition` made, so a date comes back as a date.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from flowstone.assets.partition_keys import decode_partition
from flowstone.errors import PartitionError
from flowstone.runs import automation_events, events
from flowstone.runs.items import ItemRow
from flowstone.runs.records import Failure, Input, Materialization, RunRecord, RunSpec
from flowstone.runs.waits import Wait
from flowstone.store.shapes import INSTANT, MAPPING, NUMBER, STATUS, TUPLE, Pair, Shape, Unreadable

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from flowstone.runs.automation_events import Event as AnyEvent
    from flowstone.runs.events import Event

__all__ = [
    "Unreadable",
    "decode_details",
    "decode_event",
    "decode_failure",
    "decode_inputs",
    "decode_item",
    "decode_materialization",
    "decode_request",
    "decode_run",
    "decode_wait",
    "encode_details",
    "encode_event",
    "encode_failure",
    "encode_inputs",
    "encode_item",
    "encode_materialization",
    "encode_request",
    "encode_run",
    "encode_wait",
    "read_partition",
]


def encode_event(event: AnyEvent) -> dict[str, Any]:
    """The event as a JSON-able dict with its `kind`."""
    data = _EVENTS[event.kind].encode(event)
    data["kind"] = event.kind
    return data


def decode_event(data: Mapping[str, Any]) -> Event:
    """The event of a dict made by `encode_event`, of a run or, where that may be, of none. Raises `Unreadable`."""
    kind = data.get("kind") if isinstance(data, dict) else None
    shape = _EVENTS.get(str(kind))
    if shape is None:
        raise Unreadable(
            f"an event of the unknown kind {kind!r}: a newer FlowStone wrote it, so upgrade this one"
        )
    event: Event = shape.decode({name: value for name, value in data.items() if name != "kind"})
    return event


def encode_materialization(record: Materialization) -> dict[str, Any]:
    """The record as a JSON-able dict."""
    return _MATERIALIZATION.encode(record)


def decode_materialization(data: Mapping[str, Any]) -> Materialization:
    """The record of a dict made by `encode_materialization`. Raises `Unreadable`."""
    return _MATERIALIZATION.decode(data)


def encode_details(record: Materialization) -> dict[str, Any]:
    """Metadata, failure, inputs and config of the record as a JSON-able dict."""
    return _DETAILS.encode(record)


def encode_inputs(inputs: Iterable[Input]) -> list[Any]:
    """The inputs as in `encode_details`."""
    return [[item.asset, item.partition_key, item.run_id, item.attempt, item.data_version] for item in inputs]


def decode_inputs(data: Sequence[Sequence[Any]]) -> tuple[Input, ...]:
    """The inputs of a list made by `encode_inputs`. Raises `Unreadable`."""
    try:
        return tuple([Input(*item) for item in data])
    except TypeError as error:
        raise Unreadable(f"damaged data for inputs ({error})") from error


def decode_details(data: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a dict made by `encode_details`. Raises `Unreadable`."""
    return _DETAILS.fields(data)


def encode_run(run: RunRecord) -> dict[str, Any]:
    """The run's head as a JSON-able dict."""
    return _RUN.encode(run)


def decode_run(data: Mapping[str, Any]) -> RunRecord:
    """The head of a dict made by `encode_run`. Raises `Unreadable`."""
    return _RUN.decode(data)


def encode_wait(wait: Wait) -> dict[str, Any]:
    """The wait as a JSON-able dict."""
    return _WAIT.encode(wait)


def decode_wait(data: Mapping[str, Any]) -> Wait:
    """The wait of a dict made by `encode_wait`. Raises `Unreadable`."""
    return _WAIT.decode(data)


def encode_failure(failure: Failure) -> dict[str, Any]:
    """The failure as a JSON-able dict."""
    return _FAILURE.encode(failure)


def decode_failure(data: Mapping[str, Any]) -> Failure:
    """The failure of a dict made by `encode_failure`. Raises `Unreadable`."""
    return _FAILURE.decode(data)


def encode_item(row: ItemRow) -> list[Any]:
    """What became of an item as a JSON-able list."""
    failure = row.failure
    return [*row[:4], None if failure is None else _FAILURE.encode(failure), row.location]


def decode_item(data: Sequence[Any]) -> ItemRow:
    """Raises `Unreadable`."""
    position, code, attempt, key, failure, location = data
    return ItemRow(
        position, code, attempt, key, None if failure is None else _FAILURE.decode(failure), location
    )


def encode_request(request: RunSpec) -> dict[str, Any]:
    """The request as a JSON-able dict."""
    return _REQUEST.encode(request)


def decode_request(data: Mapping[str, Any]) -> RunSpec:
    """The request of a dict made by `encode_request`. Raises `Unreadable`."""
    return _REQUEST.decode(data)


def read_partition(key: str) -> Any:
    """The partition of an encoded key, or the key itself where it was made in another way."""
    try:
        return decode_partition(key)
    except PartitionError:
        return key  # To lose the whole store over one foreign key would be worse.


# Shapes -----------------------------------------------------------------------------------------------------

_INPUTS: Final = Pair(encode_inputs, decode_inputs)
_FAILURE: Final = Shape(Failure, {"after": NUMBER})
_MATERIALIZATION_FIELDS: Final = MappingProxyType(
    {
        "status": STATUS,
        "started_at": INSTANT,
        "finished_at": INSTANT,
        "failure": Pair(_FAILURE.encode, _FAILURE.decode),
        "metadata": MAPPING,
        "inputs": _INPUTS,
        "config": MAPPING,
    }
)
_MATERIALIZATION: Final = Shape(
    Materialization, _MATERIALIZATION_FIELDS, derived={"partition": ("partition_key", read_partition)}
)
_DETAILS: Final = Shape(
    Materialization, _MATERIALIZATION_FIELDS, only=("metadata", "failure", "inputs", "config")
)
_REQUEST: Final = Shape(
    RunSpec,
    {"keys": TUPLE, "span": TUPLE, "timeout": NUMBER, "tags": MAPPING, "config": MAPPING, "beside": MAPPING},
)
_RUN: Final = Shape(
    RunRecord,
    {
        "request": Pair(_REQUEST.encode, _REQUEST.decode),
        "status": STATUS,
        "created_at": INSTANT,
        "started_at": INSTANT,
        "finished_at": INSTANT,
        "counts": MAPPING,
    },
)
_WAIT: Final = Shape(
    Wait, {"asked_at": INSTANT, "deadline": INSTANT, "answered_at": INSTANT, "about": MAPPING}
)
_EVENT_FIELDS: Final = MappingProxyType(
    {
        "at": INSTANT,
        "status": STATUS,
        "request": Pair(_REQUEST.encode, _REQUEST.decode),
        "failure": Pair(_FAILURE.encode, _FAILURE.decode),
        "materialization": Pair(_MATERIALIZATION.encode, _MATERIALIZATION.decode),
        "delay": NUMBER,
        "deadline": INSTANT,
        "timeout": NUMBER,
        "fraction": NUMBER,
        "since": INSTANT,
        "within": NUMBER,
        "materialized_at": INSTANT,
    }
)
_EVENTS: Final[Mapping[str, Shape[Any]]] = MappingProxyType(
    {
        made.kind: Shape(made, _EVENT_FIELDS)
        for made in (
            events.RunQueued,
            events.RunStarted,
            events.RunWaiting,
            events.RunCancelRequested,
            events.RunFinished,
            events.StepStarted,
            events.StepProgressed,
            events.StepRetried,
            events.StepWaiting,
            events.StepWoken,
            events.StepKept,
            events.StepTokenIssued,
            events.StepSucceeded,
            events.StepFailed,
            events.StepReused,
            events.StepSkipped,
            events.StepCancelled,
            automation_events.AutomationFailed,
            automation_events.AutomationPaused,
            automation_events.AutomationResumed,
            automation_events.AssetLate,
            automation_events.AssetOverdue,
            automation_events.AssetFresh,
        )
    }
)
