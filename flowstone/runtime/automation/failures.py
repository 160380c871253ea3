"""What happens when the function of an automation fails: it is on record, and tried again later, ever less often.

That is the same for what has a process of its own, which crashes then (`driver.py`), and for the conditions of a
pipeline, which share one (`condition_decisions.py`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from flowstone.backoff import Backoff
from flowstone.runs.automation import Fire, Move
from flowstone.runs.automation_events import AutomationFailed, AutomationPaused
from flowstone.runtime.automation.problems import subject, tell_problem

if TYPE_CHECKING:
    from datetime import datetime
    from random import Random

    from flowstone.runs.automation import AutomationRecord
    from flowstone.runs.automation_events import AutomationEvent
    from flowstone.runs.records import Failure
    from flowstone.runtime.context import RuntimeContext
    from flowstone.store.automations import Moved

__all__ = ["pause_after", "record_failure"]

_MOST_FAILURES: Final = 10  # So many in a row pause an automation.
_FIRST_PAUSE: Final = 1.0
_LONGEST_PAUSE: Final = 300.0


async def record_failure(
    ctx: RuntimeContext,
    record: AutomationRecord,
    failure: Failure,
    *,
    cursor: Any,
    pending: tuple[Any, ...],
    scheduled_at: datetime | None = None,
) -> Moved:
    """Write a failure down and say so everywhere; the tenth in a row pauses the automation.

    Args:
        ctx: What the runtime offers.
        record: The automation, as it was before.
        failure: Why it failed.
        cursor: Where it has got to.
        pending: What it has accepted and not started.
        scheduled_at: The tick at which it failed, if it is a schedule.

    Raises:
        StaleWrite: Somebody else has changed the record; nothing was written.
        StoreUnavailable: The store is away.
    """
    now = ctx.clock.now()
    failures = record.failures + 1
    events: list[AutomationEvent] = [AutomationFailed(now, record.name, failure, failures)]
    outcome = "it failed"
    too_many = failures >= _MOST_FAILURES
    if too_many:
        outcome = f"it failed {failures} times in a row and is paused"
        events.append(AutomationPaused(now, record.name, reason=f"It failed {failures} times in a row."))
    moved = await ctx.store.automations.move(
        Move(
            record.key,
            record.version,
            cursor,
            pending,
            fire=Fire(now, "failed", scheduled_at, reason=failure.message),
            paused=True if too_many else None,
            failures=failures,
            failure=failure,
            events=events,
        )
    )
    for event in events:
        ctx.stream.publish(event)
    ctx.alarms.set(
        subject(record.kind, record.name), f"{outcome}: {failure.message}\n{failure.frames}".rstrip()
    )
    tell_problem(ctx, moved.record)
    return moved


def pause_after(failures: int, random: Random) -> float:
    """Seconds until the next try after so many failures in a row, with jitter."""
    pauses = Backoff(_FIRST_PAUSE, _LONGEST_PAUSE, random)
    pause = pauses.pause()
    for _ in range(min(failures, _MOST_FAILURES) - 1):
        pause = pauses.pause()
    return pause
