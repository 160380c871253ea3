"""Records that steps which do not run are cancelled, but for those that have ended without the coordinator.

Until the store knows of a cancel, what a step waits for can be denied to it, by anybody and on any node. It fails
with that, whether the coordinator has heard of it or not. The store keeps the first record of a step and refuses
the next, so it decides which of the two there is. To ask it before would leave the time between the two.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from flowstone.runs import endings
from flowstone.runs.endings import PlannedStep
from flowstone.store.protocol import StaleWrite

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flowstone.runs.events import Event
    from flowstone.runtime.context import RuntimeContext
    from flowstone.runtime.run.live_run import LiveRun

__all__ = ["record_cancelled"]


async def record_cancelled(
    ctx: RuntimeContext, run: LiveRun, epoch: int, steps: Sequence[int]
) -> tuple[dict[int, Event], dict[int, Event]]:
    """Record that steps are cancelled.

    Args:
        ctx: What the runtime offers.
        run: Their run.
        epoch: Under which it is driven.
        steps: Their numbers.

    Returns:
        The ends of those that are cancelled, and of those that had ended before, as recorded; by step.

    Raises:
        StaleWrite: The run is somebody else's.
        StoreUnavailable: The store is away.
    """
    run_id, now = run.record.id, ctx.clock.now()
    planned = [(step, PlannedStep.of(run_id, run.plan, step)) for step in steps]
    left: dict[int, Event] = {step: endings.cancelled(each, now) for step, each in planned}
    before: dict[int, Event] = {}
    while left:
        try:
            await ctx.record_many(list(left.values()), epoch)
        except StaleWrite:
            ended = await _ended(ctx, run_id, left)
            if not ended:
                raise
            before |= ended
            left = {step: event for step, event in left.items() if step not in ended}
        else:
            break
    return left, before


async def _ended(ctx: RuntimeContext, run_id: str, events: dict[int, Event]) -> dict[int, Event]:
    """The ends of those of these steps that have a record."""
    keys = {(event.asset, event.partition_key): step for step, event in events.items()}
    found = await ctx.store.steps_of(run_id, list(keys))
    ends = {keys[key]: endings.as_recorded(record, record.attempt) for key, record in found.items()}
    return {step: end for step, end in ends.items() if end is not None}
