"""What a listener is still to be told, as part of what people see of it; whoever asks, and without its code."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from flowstone.runs.automation_status import AutomationStatus
    from flowstone.store.protocol import Store

__all__ = ["with_deliveries"]


async def with_deliveries(store: Store, status: AutomationStatus) -> AutomationStatus:
    """Of a listener, with what is left to tell and what was given up; anything else as it is."""
    if status.kind != "listener":
        return status
    for state in await store.deliveries.followers(status.pipeline):
        if state.follower.name == status.name:
            return replace(status, pending=state.pending, given_up=state.given_up, failure=state.failure)
    return status
