"""What is said below the table of automations: who paused one and why, and what fails."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flowstone.cli.labels import ago, failure_label
from flowstone.counting import count
from flowstone.printable import one_line

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from flowstone.runs.automation_status import AutomationStatus

__all__ = ["automation_notes", "paused_label"]


def automation_notes(status: AutomationStatus, now: datetime) -> Iterator[str]:
    """Each line that there is to say of one."""
    name = one_line(status.name)
    if status.paused_at is not None and status.gone_at is None:
        yield f"{name} is paused {paused_label(status, now)}; `flowstone resume {name}` has it go on"
    if status.failing is not None:
        yield (
            f"{name} fails: {_waiting(status, now)}; the last of {count(status.attempts, 'attempt')}: "
            f"{failure_label(status.failing)}"
        )
    if status.failure is not None:
        gave_up = f" and gave up {count(status.given_up, 'event')}" if status.given_up else ""
        yield f"{name} failed{gave_up}: {failure_label(status.failure)}"


def paused_label(status: AutomationStatus, now: datetime) -> str:
    """`since 2 min ago by ada: the warehouse moves`."""
    by = "" if status.paused_by is None else f" by {one_line(status.paused_by)}"
    why = f": {one_line(status.paused_because)}" if status.paused_because else ""
    return f"since {ago(status.paused_at, now)}{by}{why}"


def _waiting(status: AutomationStatus, now: datetime) -> str:
    since = "" if status.oldest is None else f", the oldest of {ago(status.oldest, now)}"
    return f"{count(status.pending, 'event')} to tell{since}"
