"""What of a run with `refresh="stale"` would be computed, and why: staleness travels downstream."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from flowstone.runtime.run.reuse import CurrentValues

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Collection

    from flowstone.runs.plan import RunPlan
    from flowstone.runs.reasons import Reason
    from flowstone.runs.records import Materialization, StepKey
    from flowstone.store.protocol import Store

__all__ = ["stale_steps"]

_LOOKED_UP: Final = 1_000  # Records at a time.


async def stale_steps(
    store: Store, plan: RunPlan, reasons: dict[StepKey, Reason]
) -> AsyncIterator[Collection[Materialization]]:
    """Look at every step of a plan in order, and note in `reasons` why those are computed that are.

    Yields:
        The records that were looked up, some steps at a time.
    """
    for first in range(0, plan.total, _LOOKED_UP):
        steps = range(first, min(plan.total, first + _LOOKED_UP))
        values = await CurrentValues.of(store, plan, steps)
        yield values.records
        for number in steps:
            reason = values.reason_to_run(number, reasons)
            if reason is not None:
                asset, _, partition_key = plan.step(number)
                reasons[asset, partition_key] = reason
