"""Acts and entries of the audit log as JSON has them, and back, exactly."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from flowstone.runs.audit import Act, AuditEntry
from flowstone.store.sanitise import sanitised_act
from flowstone.store.shapes import INSTANT, MAPPING, Shape

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["decode_act", "decode_entry", "encode_act", "encode_entry", "noted"]


def noted(act: Act | None) -> tuple[Act | None, list[Any]]:
    """An act as it is kept, and what the operation of a journal says of it at its end."""
    if act is None:
        return None, []
    act = sanitised_act(act)
    return act, [_ACT.encode(act)]


def encode_act(act: Act) -> dict[str, Any]:
    """As JSON has it."""
    return _ACT.encode(act)


def decode_act(data: Mapping[str, Any] | None) -> Act | None:
    """None of what an older journal does not say. Raises `Unreadable`."""
    return None if data is None else _ACT.decode(data)


def encode_entry(entry: AuditEntry) -> dict[str, Any]:
    """As JSON has it."""
    return _ENTRY.encode(entry)


def decode_entry(data: Mapping[str, Any]) -> AuditEntry:
    """Raises `Unreadable`."""
    return _ENTRY.decode(data)


_ACT: Final = Shape(Act, {"at": INSTANT})
_ENTRY: Final = Shape(AuditEntry, {"at": INSTANT, "details": MAPPING})
