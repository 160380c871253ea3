"""The last child of the tree, so the first to stop: it lets running work finish before anything is taken away.

Graceful shutdown is a position in a list. When the tree stops, children stop in reverse order; this one refuses
new runs, waits for the live ones, stops what is left, and only then returns. It is stopped as well when what
stands above it is restarted; then the runs go on afterwards, and there is nothing to wait for.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING

from flowstone.errors import FlowstoneError
from flowstone.store.cluster import Notification

if TYPE_CHECKING:
    from collections.abc import Callable

    from flowstone.runtime.context import RuntimeContext
    from flowstone.runtime.run.local_runs import LocalRuns

__all__ = ["Watchman", "drain"]

_ASKING = 1.0  # Seconds in which the store is to say which runs others want.
_RECORDING = 1.0  # Seconds to write down that a run was cancelled, once everything in it has stopped.


class Watchman:
    """Does nothing until it is told to stop, and then everything that a polite stop takes."""

    def __init__(self, ctx: RuntimeContext, runs: LocalRuns) -> None:
        self._ctx = ctx
        self._runs = runs
        self._stopping = asyncio.Event()

    async def run(self, started: Callable[[], None]) -> None:
        started()
        await self._stopping.wait()
        if not self._runs.open:
            await drain(self._ctx, self._runs, self._ctx.settings.shutdown_timeout)

    def stop(self) -> None:
        """Begin to drain."""
        self._stopping.set()


async def drain(ctx: RuntimeContext, runs: LocalRuns, timeout: float) -> bool:
    """Refuse new runs and let the live ones finish, for `timeout` seconds; then stop them.

    Those that a call in this process waits for are cancelled, unless calls on other nodes have joined them. Those,
    and of a store that lasts the ones that were submitted, or taken from others, stay unfinished: another node goes
    on with them, or whoever opens the store next.

    Returns True if all finished by themselves. It waits for the stopped ones to end, which takes at most
    `cancel_timeout` and a moment: whatever its assets do, an attempt is killed by then. A run that has not
    ended even so waits for a store that does not answer; whoever opens the store next goes on with it.
    """
    runs.open = False
    ctx.notifications.heard(Notification("draining"))
    if await _gone_within(timeout, ctx, runs):
        return True
    await _leave_to_others(ctx, runs)
    runs.stop_all()
    await _gone_within(ctx.settings.cancel_timeout + _RECORDING, ctx, runs)
    return False


async def _leave_to_others(ctx: RuntimeContext, runs: LocalRuns) -> None:
    """Runs that somebody wants on another node stay unfinished, though it was a call here that started them."""
    cluster, here = ctx.store.cluster, [run for run in runs.live.values() if not run.outlives]
    if cluster is None or not here:
        return
    with suppress(TimeoutError, FlowstoneError):
        async with asyncio.timeout(_ASKING):
            wanted = await ctx.store.callers.wanted([run.record.id for run in here], ctx.node)
            for run in here:
                run.outlives = run.outlives or run.record.id in wanted


async def _gone_within(seconds: float, ctx: RuntimeContext, runs: LocalRuns) -> bool:
    over = asyncio.Event()

    def enough() -> None:
        over.set()
        runs.look_again()

    timer = ctx.clock.call_later(seconds, enough)
    try:
        await runs.wait_all(over.is_set)
    finally:
        timer.cancel()
    return not over.is_set()
