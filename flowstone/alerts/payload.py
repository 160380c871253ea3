"""What a webhook says of an event, as JSON; and the id by which the same event is known again."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

from flowstone.assets.partition_labels import step_label
from flowstone.runs.automation_events import (
    AssetFresh,
    AssetLate,
    AssetOverdue,
    AutomationFailed,
    AutomationPaused,
)
from flowstone.runs.events import RunFinished, StepRetried

if TYPE_CHECKING:
    from flowstone.runs.automation_events import Event

__all__ = ["id_of", "message_of", "payload_of"]

_LONGEST_MESSAGE = 4_000


def payload_of(event: Event) -> dict[str, Any]:
    """The event, for whoever receives it: its id and kind, what it is about, and a message for people."""
    payload = {
        "id": id_of(event),
        "kind": event.exact_kind,
        "at": event.at.isoformat(),
        "run_id": event.run_id or None,
        "asset": event.asset or None,
        "partition": event.partition_key,
        "message": message_of(event),
    }
    for name in ("attempt", "name", "within"):
        if getattr(event, name, None):
            payload[name] = getattr(event, name)
    if isinstance(event, AssetLate | AssetOverdue | AssetFresh):
        payload["since"] = event.since.isoformat()
    return payload


def id_of(event: Event) -> str:
    """The same whenever the same event is sent, and another one for every other."""
    facts = (
        event.exact_kind,
        event.at.isoformat(),
        event.run_id,
        event.asset,
        event.partition_key,
        getattr(event, "attempt", None),
        getattr(event, "name", None),
    )
    return f"evt_{hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:32]}"


def message_of(event: Event) -> str:
    """The event in a sentence."""
    what, about = event.exact_kind.replace("_", " ").replace(".", " "), _about(event)
    reason = _reason(event)
    message = f"{what}: {about}" if about else what
    return (f"{message}: {reason}" if reason else message)[:_LONGEST_MESSAGE]


def _about(event: Event) -> str:
    label = step_label(event.asset, event.partition_key) if event.asset else str(getattr(event, "name", ""))
    return f"{label}, run {event.run_id}" if isinstance(event, RunFinished) else label


def _reason(event: Event) -> str:
    if isinstance(event, AutomationFailed | StepRetried):
        return event.failure.message
    if isinstance(event, AutomationPaused):
        return ", ".join(filter(None, (event.by and f"by {event.by}", event.reason)))
    if isinstance(event, AssetLate | AssetOverdue):
        return f"not computed within {event.within:,.0f} s, since {event.since.isoformat()}"
    failure = getattr(getattr(event, "materialization", None), "failure", None)
    return "" if failure is None else failure.message
