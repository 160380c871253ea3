"""What a listener is still to be told, and why it fails, as people see it: from the store, without its code."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from datetime import datetime

    from flowstone.runs.automation_status import AutomationStatus
    from flowstone.store.protocol import Store

__all__ = ["with_deliveries"]

_LOOKED_AT: Final = 1_000  # Events; the runs that wait are told of in order.


async def with_deliveries(store: Store, status: AutomationStatus) -> AutomationStatus:
    """Of a listener, with what is left to tell, what fails and what was given up; anything else as it is."""
    if status.kind != "listener":
        return status
    for state in await store.deliveries.followers(status.pipeline):
        if state.follower.name == status.name:
            return replace(
                status,
                pending=state.pending,
                given_up=state.given_up,
                failure=state.failure,
                attempts=state.attempts,
                failing=state.failing,
                oldest=await _oldest(store, status) if state.pending else None,
            )
    return status


async def _oldest(store: Store, status: AutomationStatus) -> datetime | None:
    """When the first of the events happened that wait."""
    waiting = await store.deliveries.pending(status.pipeline, status.name, limit=_LOOKED_AT)
    return min((each.event.at for each in waiting), default=None)
