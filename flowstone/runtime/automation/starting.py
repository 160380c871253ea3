"""Starts the runs that a change of an automation has written down."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flowstone.errors import FlowstoneError, StoreUnavailable
from flowstone.runtime.run.takeover import resume

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flowstone.runs.automation import NewRun
    from flowstone.runtime.context import RuntimeContext
    from flowstone.runtime.run.local_runs import LocalRuns
    from flowstone.store.automations import Moved

__all__ = ["start_runs"]


async def start_runs(ctx: RuntimeContext, runs: LocalRuns, moved: Moved, asked: Sequence[NewRun]) -> None:
    """Start those that are new, where no other node shares the store; elsewhere they are in its queue.

    They go the way of runs that somebody left unfinished: what becomes of them if this process ends before they are
    started is what becomes of those.
    """
    if ctx.store.cluster is not None:
        return
    new = {run.id for run in moved.runs if run is not None and not run.joined}
    for run in asked:
        if run.record.id not in new:
            continue
        try:
            await resume(ctx, runs, run.record)
        except StoreUnavailable as error:
            ctx.alarms.set("store", f"run {run.record.id} was not started: {error}")
        except FlowstoneError as error:
            ctx.alarms.set(f"run {run.record.id}", f"it was not started: {error}")
