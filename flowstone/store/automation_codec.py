"""Automations, their changes and what they did, as JSON-able dicts, and back, exactly."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from flowstone.runs.automation import AutomationRecord, Definition, Fire, FiredRun, Move, NewRun
from flowstone.runs.records import Failure
from flowstone.store.audit_codec import decode_act, encode_act
from flowstone.store.codec import decode_event, decode_run, encode_event, encode_run
from flowstone.store.shapes import INSTANT, NUMBER, STATUS, TUPLE, Pair, Shape

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = [
    "decode_automation",
    "decode_definition",
    "decode_failure",
    "decode_fire",
    "decode_move",
    "decode_new_run",
    "encode_automation",
    "encode_definition",
    "encode_failure",
    "encode_fire",
    "encode_move",
    "encode_new_run",
]


def encode_definition(definition: Definition) -> dict[str, Any]:
    """As JSON has it."""
    return _DEFINITION.encode(definition)


def decode_definition(data: Mapping[str, Any]) -> Definition:
    """Raises `Unreadable`."""
    return _DEFINITION.decode(data)


def encode_automation(record: AutomationRecord) -> dict[str, Any]:
    """As JSON has it."""
    return _AUTOMATION.encode(record)


def decode_automation(data: Mapping[str, Any]) -> AutomationRecord:
    """Raises `Unreadable`."""
    return _AUTOMATION.decode(data)


def encode_fire(fire: Fire) -> dict[str, Any]:
    """As JSON has it."""
    return _FIRE.encode(fire)


def decode_fire(data: Mapping[str, Any]) -> Fire:
    """Raises `Unreadable`."""
    return _FIRE.decode(data)


def encode_failure(failure: Failure) -> dict[str, Any]:
    """As JSON has it."""
    return _FAILURE.encode(failure)


def decode_failure(data: Mapping[str, Any]) -> Failure:
    """Raises `Unreadable`."""
    return _FAILURE.decode(data)


def encode_move(move: Move) -> dict[str, Any]:
    """As JSON has it."""
    return _MOVE.encode(move)


def decode_move(data: Mapping[str, Any]) -> Move:
    """Raises `Unreadable`."""
    return _MOVE.decode(data)


def encode_new_run(run: NewRun) -> dict[str, Any]:
    """As JSON has it."""
    return _NEW_RUN.encode(run)


def decode_new_run(data: Mapping[str, Any]) -> NewRun:
    """Raises `Unreadable`."""
    return _NEW_RUN.decode(data)


def _each(write: Callable[[Any], Any], read: Callable[[Any], Any]) -> Pair:
    """How a sequence is written and read, each of its members alike."""
    return Pair(lambda values: [write(value) for value in values], lambda data: tuple(map(read, data)))


_FAILURE: Final = Shape(Failure, {"after": NUMBER})
_FAILED: Final = Pair(_FAILURE.encode, _FAILURE.decode)
_DEFINITION: Final = Shape(Definition, {})
_AUTOMATION: Final = Shape(
    AutomationRecord,
    {
        "pending": TUPLE,
        "failure": _FAILED,
        "since": INSTANT,
        "gone_at": INSTANT,
        "pausing": Pair(encode_event, decode_event),
    },
)
_FIRED_RUN: Final = Shape(FiredRun, {"status": STATUS})
_FIRE: Final = Shape(
    Fire, {"at": INSTANT, "scheduled_at": INSTANT, "runs": _each(_FIRED_RUN.encode, _FIRED_RUN.decode)}
)
_NEW_RUN: Final = Shape(NewRun, {"record": Pair(encode_run, decode_run)})
_MOVE: Final = Shape(
    Move,
    {
        "key": TUPLE,
        "pending": TUPLE,
        "runs": _each(_NEW_RUN.encode, _NEW_RUN.decode),
        "fire": Pair(_FIRE.encode, _FIRE.decode),
        "failure": _FAILED,
        "events": _each(encode_event, decode_event),
        "delivered": _each(list, tuple),
        "act": Pair(encode_act, decode_act),
    },
)
