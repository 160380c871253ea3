"""When it is put on record that a node has begun with a run.

The record tells whoever takes the run over that the run may not only have waited here. So a run that was begun
before says it when its first look-ups have ended: if those are what ends its nodes, it is found out.

A database keeps what is written of a run in order: the first attempts' starts may go with it in one transaction,
instead of one after it. So nobody waits for it there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from flowstone.runs.events import RunStarted
from flowstone.runs.records import Status

if TYPE_CHECKING:
    from flowstone.runtime.context import RuntimeContext
    from flowstone.runtime.run.beside import Beside
    from flowstone.runtime.run.live_run import LiveRun

__all__ = ["StartRecord"]


class StartRecord:
    """The `RunStarted` of one incarnation of a run's coordinator.

    Args:
        ctx: What the runtime offers.
        run: The run.
        beside: Where it is written.
    """

    def __init__(self, ctx: RuntimeContext, run: LiveRun, beside: Beside) -> None:
        self._ctx = ctx
        self._run = run
        self._beside = beside
        self._epoch = 0
        self._unwritten: RunStarted | None = None
        self._looking = 0  # Look-ups of current values under way.

    async def make(self, epoch: int) -> None:
        """The node has begun: write it now, or leave it to a later `write` or `looked`.

        Args:
            epoch: Under which the coordinator writes.
        """
        run, ctx = self._run, self._ctx
        self._epoch = epoch
        # Steps of a former plan are counted as well, so they are part of the total.
        total = run.plan.total + run.former
        started = RunStarted(ctx.clock.now(), run.record.id, run.record.request.asset, total)
        if ctx.store.cluster is None:
            await ctx.record(started, epoch)
            return
        self._unwritten = started
        if run.record.status is Status.QUEUED:
            self.write()

    def write(self) -> None:
        """Write it, if that is not done yet."""
        started, self._unwritten = self._unwritten, None
        if started is not None:
            self._beside.do("record the start", self._ctx.record(started, self._epoch))

    def looking(self) -> None:
        """A look-up of current values begins."""
        self._looking += 1

    def looked(self) -> None:
        """One has ended; the last of the first ones lets it be written."""
        self._looking -= 1
        if not self._looking:
            self.write()
