"""An asset that waits for a run of its own gives its slot back meanwhile, and its place among the threads.

Otherwise `max_concurrency` assets that each call `runtime.materialize(...)`, or `max_threads` synchronous ones,
would wait for ever: they hold every slot, or every thread, that the runs they wait for need. One that runs alone
lets others run meanwhile, for the same reason.

A synchronous asset calls its runtime with `asyncio.run_coroutine_threadsafe(..., runtime.loop).result()`. The
task that makes the call inherits the thread's context, which is how it is known whose call it is. When the asset is
stopped that task is cancelled: so is the run that it waits for, and the thread returns.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from flowstone.runtime.context import RuntimeContext
    from flowstone.runtime.run.attempt import Attempt
    from flowstone.runtime.services.admission import Admission, Places

__all__ = ["without_slot"]

T = TypeVar("T")


async def without_slot(attempt: Attempt, ctx: RuntimeContext, work: Awaitable[T], run_id: str) -> T:
    """Await `work`, the end of a run, on behalf of an attempt's function; it has a slot again when this returns.

    It may wait for several runs at a time: the first wait gives the slot back, the last one takes one. An
    attempt that is being stopped takes none, because what it still does is cleaning up.
    """
    attempt.awaits = (*attempt.awaits, run_id)
    ctx.admission.lend(attempt, run_id)
    caller, thread = asyncio.current_task(), attempt.thread
    if thread is not None and caller is not None:
        ctx.threads.lend(thread)
        thread.when_cancelled(caller.cancel)
    try:
        return await work
    finally:
        if thread is not None and caller is not None:
            thread.forget(caller.cancel)
        ctx.admission.waits_no_more(attempt, run_id)
        awaits = list(attempt.awaits)
        awaits.remove(run_id)
        attempt.awaits = tuple(awaits)
        if not (awaits or attempt.over or attempt.stopping):
            await _take(attempt, ctx.admission)
            if attempt.thread is not None:
                await ctx.threads.take_back(attempt.thread)


class _Return:
    """An attempt that wants back in, on behalf of one of its tasks.

    Several of its tasks may want that, and all have it once one of them has: it never waits for itself.
    """

    __slots__ = (
        "admitted",
        "attempt",
        "exclusive",
        "name",
        "places",
        "pooled",
        "pools",
        "priority",
        "rate",
        "rated",
        "run_id",
        "taken",
    )

    def __init__(self, attempt: Attempt) -> None:
        self.admitted = False
        self.attempt = attempt
        self.exclusive = attempt.exclusive
        self.pools: tuple[tuple[str, int], ...] = ()  # It has kept those.
        self.pooled = False
        self.rate: str | None = None  # It has begun.
        self.rated = False
        self.places: Places | None = None
        self.priority = 0
        self.run_id = attempt.run_id
        self.name = attempt.name
        self.taken: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def slots_lost(self) -> None:
        """It holds none of its own."""

    def slots_refused(self, why: str) -> None:
        """It asks for none."""

    def begin(self, _: _Return) -> bool:
        attempt = self.attempt
        wanted = not (attempt.over or attempt.awaits or attempt.admitted or self.taken.done())
        attempt.admitted = attempt.admitted or wanted
        for taker in attempt.slot_waiters if wanted else (self.taken,):
            if not taker.done():
                taker.set_result(None)
        return wanted


async def _take(attempt: Attempt, admission: Admission) -> None:
    back = _Return(attempt)
    attempt.slot_waiters = (*attempt.slot_waiters, back.taken)
    admission.admit(back, back.begin)
    try:
        await back.taken
    finally:
        attempt.slot_waiters = tuple(taker for taker in attempt.slot_waiters if taker is not back.taken)
        if attempt.exclusive:
            admission.withdraw(back)
