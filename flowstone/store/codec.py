"""Runs, events and materializations as JSON-able dicts, and back, exactly.

Each record has a *shape*: its fields, with a pair of converters where JSON has no word for the value. A field
that has its default is left out, which halves a journal. Nothing is looked up by a name that was read: a dict
can only become one of the types of this file.

Exact means equal: `decode(encode(x)) == x` for what a durable store takes (see `sanitise`). A partition is
read from its key, which `encode_partition` made, so a date comes back as a date.
"""

from __future__ import annotations

from dataclasses import MISSING, fields
from math import isfinite
from operator import attrgetter
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, Generic, NamedTuple, TypeVar

from flowstone.assets.exact_dates import REAL
from flowstone.assets.partition_keys import decode_partition
from flowstone.errors import PartitionError
from flowstone.runs import events
from flowstone.runs.items import ItemRow
from flowstone.runs.records import Failure, Input, Materialization, RunRecord, RunSpec, Status
from flowstone.runs.waits import Wait

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

    from flowstone.runs.events import Event

__all__ = [
    "Unreadable",
    "decode_details",
    "decode_event",
    "decode_inputs",
    "decode_item",
    "decode_materialization",
    "decode_request",
    "decode_run",
    "decode_wait",
    "encode_details",
    "encode_event",
    "encode_inputs",
    "encode_item",
    "encode_materialization",
    "encode_request",
    "encode_run",
    "encode_wait",
    "read_partition",
]

T = TypeVar("T")


class Unreadable(ValueError):
    """Stored data means nothing to this release: it is damaged, or a newer one wrote it; the message says."""


def encode_event(event: Event) -> dict[str, Any]:
    """The event as a JSON-able dict with its `kind`."""
    data = _EVENTS[event.kind].encode(event)
    data["kind"] = event.kind
    return data


def decode_event(data: Mapping[str, Any]) -> Event:
    """The event of a dict made by `encode_event`. Raises `Unreadable`."""
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


# Converters -------------------------------------------------------------------------------------------------


class _Pair(NamedTuple):
    """How the values of a field, other than None, are written and read."""

    write: Callable[[Any], Any]
    read: Callable[[Any], Any]


def _write_number(value: float) -> float | str:
    return value if isfinite(value) else str(value)  # JSON has no word for infinity.


_STATUSES: Final = MappingProxyType({status.value: status for status in Status})
_INSTANT: Final = _Pair(REAL.datetime.isoformat, REAL.datetime.fromisoformat)
_NUMBER: Final = _Pair(_write_number, float)
_STATUS: Final = _Pair(attrgetter("value"), _STATUSES.__getitem__)
_MAPPING: Final = _Pair(dict, dict)
_TUPLE: Final = _Pair(list, tuple)
_INPUTS: Final = _Pair(encode_inputs, decode_inputs)


# Shapes -----------------------------------------------------------------------------------------------------


class _Shape(Generic[T]):
    """The fields of one dataclass.

    Args:
        made: The dataclass.
        converters: Field name to pair, for the fields JSON cannot hold as they are.
        derived: Fields made from another one when reading: name to (source field, function).
        only: The fields it has here; empty: all.
    """

    def __init__(
        self,
        made: type[T],
        converters: Mapping[str, _Pair],
        derived: Mapping[str, tuple[str, Callable[[Any], Any]]] = MappingProxyType({}),
        only: Collection[str] = (),
    ) -> None:
        self._made = made
        self._derived = derived
        names = frozenset(only) or frozenset(field.name for field in fields(made))  # type: ignore[arg-type] # T is a dataclass; there is no bound that says so
        self._names = names - derived.keys()
        self._readers = {name: pair.read for name, pair in converters.items() if name in self._names}
        self._writers = [
            (
                field.name,
                converters[field.name].write if field.name in converters else None,
                {} if field.default_factory is not MISSING else field.default,
            )
            for field in fields(made)  # type: ignore[arg-type] # as above
            if field.name in self._names
        ]

    def encode(self, record: T) -> dict[str, Any]:
        data: dict[str, Any] = {}
        for name, write, default in self._writers:
            value = getattr(record, name)
            if value is default or (default is not MISSING and value == default):
                continue
            data[name] = value if write is None or value is None else write(value)
        return data

    def decode(self, data: Mapping[str, Any]) -> T:
        found = self.fields(data)
        try:
            return self._made(**found)
        except TypeError as error:
            raise self._damaged(error) from error

    def fields(self, data: Mapping[str, Any]) -> dict[str, Any]:
        """The values of the fields that are in the data, and the derived ones."""
        if not isinstance(data, dict) or not data.keys() <= self._names:
            raise Unreadable(self._complaint(data))
        try:
            readers = self._readers
            found = {
                name: value if value is None or name not in readers else readers[name](value)
                for name, value in data.items()
            }
            for name, (source, make) in self._derived.items():
                found[name] = None if found.get(source) is None else make(found[source])
        except (TypeError, ValueError, KeyError) as error:
            raise self._damaged(error) from error
        return found

    def _damaged(self, error: Exception) -> Unreadable:
        return Unreadable(f"damaged data for a {self._made.__name__} ({error})")

    def _complaint(self, data: object) -> str:
        if not isinstance(data, dict):
            return f"damaged data for a {self._made.__name__} (no object)"
        unknown = ", ".join(sorted(map(str, data.keys() - self._names)))
        made = self._made.__name__
        return f"a {made} with the unknown field {unknown}: a newer FlowStone wrote it, so upgrade this one"


_FAILURE: Final = _Shape(Failure, {"after": _NUMBER})
_MATERIALIZATION_FIELDS: Final = MappingProxyType(
    {
        "status": _STATUS,
        "started_at": _INSTANT,
        "finished_at": _INSTANT,
        "failure": _Pair(_FAILURE.encode, _FAILURE.decode),
        "metadata": _MAPPING,
        "inputs": _INPUTS,
        "config": _MAPPING,
    }
)
_MATERIALIZATION: Final = _Shape(
    Materialization, _MATERIALIZATION_FIELDS, derived={"partition": ("partition_key", read_partition)}
)
_DETAILS: Final = _Shape(
    Materialization, _MATERIALIZATION_FIELDS, only=("metadata", "failure", "inputs", "config")
)
_REQUEST: Final = _Shape(
    RunSpec, {"keys": _TUPLE, "span": _TUPLE, "timeout": _NUMBER, "tags": _MAPPING, "config": _MAPPING}
)
_RUN: Final = _Shape(
    RunRecord,
    {
        "request": _Pair(_REQUEST.encode, _REQUEST.decode),
        "status": _STATUS,
        "created_at": _INSTANT,
        "started_at": _INSTANT,
        "finished_at": _INSTANT,
        "counts": _MAPPING,
    },
)
_WAIT: Final = _Shape(
    Wait, {"asked_at": _INSTANT, "deadline": _INSTANT, "answered_at": _INSTANT, "about": _MAPPING}
)
_EVENT_FIELDS: Final = MappingProxyType(
    {
        "at": _INSTANT,
        "status": _STATUS,
        "request": _Pair(_REQUEST.encode, _REQUEST.decode),
        "failure": _Pair(_FAILURE.encode, _FAILURE.decode),
        "materialization": _Pair(_MATERIALIZATION.encode, _MATERIALIZATION.decode),
        "delay": _NUMBER,
        "deadline": _INSTANT,
        "timeout": _NUMBER,
        "fraction": _NUMBER,
    }
)
_EVENTS: Final[Mapping[str, _Shape[Any]]] = MappingProxyType(
    {
        made.kind: _Shape(made, _EVENT_FIELDS)
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
        )
    }
)
