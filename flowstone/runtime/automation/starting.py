"""Starts the runs that a change of an automation has written down."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Final

import anyio

from flowstone.errors import FlowstoneError, StoreUnavailable
from flowstone.runs.records import Status
from flowstone.runtime.run.takeover import resume

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flowstone.runs.automation import Move, NewRun
    from flowstone.runtime.context import RuntimeContext
    from flowstone.runtime.run.local_runs import LocalRuns
    from flowstone.store.automations import Moved

__all__ = ["make_move", "start_runs"]

_WRITING: Final = 1.0  # Seconds for which a change that was under way is waited for by one who was cancelled.
_LOOK: Final = 0.01


async def make_move(ctx: RuntimeContext, runs: LocalRuns, move: Move) -> Moved:
    """Make a change and start its runs; if the caller is cancelled meanwhile, its runs start if it was made.

    Raises:
        StaleWrite: It was decided upon another version.
        StoreUnavailable: The store is away.
    """
    try:
        moved = await ctx.store.automations.move(move)
        await start_runs(ctx, runs, moved, move.runs)
    except asyncio.CancelledError:
        if move.runs and ctx.store.cluster is None:
            await _start_what_was_written(ctx, runs, move)
        raise
    return moved


async def _start_what_was_written(ctx: RuntimeContext, runs: LocalRuns, move: Move) -> None:
    """Nobody else would: what is written down belongs to this process, which lives."""
    with anyio.CancelScope(shield=True), anyio.move_on_after(_WRITING), suppress(FlowstoneError):
        while True:
            record = await ctx.store.automations.record(move.key)
            if record is None or record.version != move.version:
                break
            await asyncio.sleep(_LOOK)
        for run in move.runs:
            written = await ctx.store.run(run.record.id)
            if written is not None and written.status is Status.QUEUED and written.id not in runs.live:
                await resume(ctx, runs, written)


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
