"""Pausing and resuming an automation, whoever asks for it: a runtime, or a command that has only the store."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flowstone.runs.automation import subject_of
from flowstone.runs.automation_events import AutomationPaused, AutomationResumed
from flowstone.store.cluster import Notification

if TYPE_CHECKING:
    from datetime import datetime

    from flowstone.runs.automation import AutomationRecord
    from flowstone.runs.automation_events import AutomationEvent
    from flowstone.store.protocol import Store

__all__ = ["set_paused"]


async def set_paused(
    store: Store, record: AutomationRecord, paused: bool, *, now: datetime, by: str | None, reason: str = ""
) -> tuple[AutomationRecord, AutomationEvent | None]:
    """Pause or resume an automation, and wake the node that drives it.

    Args:
        store: Where it is remembered.
        record: What is known of it.
        paused: Whether it is paused from here on.
        now: The instant that is recorded.
        by: Who asks for it.
        reason: Why.

    Returns:
        What is known of it now, and the event that was recorded, if that has changed anything.
    """
    event: AutomationEvent = AutomationResumed(now, record.name, by)
    if paused:
        event = AutomationPaused(now, record.name, by, reason)
    changed = await store.automations.pause(record.key, paused, events=[event])
    if store.cluster is not None:
        await store.cluster.tell(Notification("automation", subject_of(record.key)))
    moved = changed is not None and changed.version != record.version
    return changed or record, event if moved else None
