"""How a node lets go of a run that outlives it, when all of it has stopped: unfinished, and by nobody's failure."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from flowstone.errors import RuntimeStopping, StoreUnavailable

if TYPE_CHECKING:
    from flowstone.runtime.context import RuntimeContext
    from flowstone.runtime.run.live_run import LiveRun

__all__ = ["release"]


async def release(ctx: RuntimeContext, run: LiveRun) -> None:
    """Put the run back into the queue, and tell whoever waits for it here.

    Where only one process can have the store there is no queue: whoever opens it next finds the run unfinished.
    """
    words = "was left unfinished: whoever opens the store next goes on with it"
    cluster = ctx.store.cluster
    if cluster is not None:
        words = "was handed back: another node goes on with it"
        with suppress(StoreUnavailable):  # Then it is an orphan as soon as this node has gone.
            if run.driven_from is not None:
                spent = ctx.clock.monotonic() - run.driven_from
                await cluster.spend(ctx.node, {run.record.id: spent})
            await cluster.release(run.record.id, ctx.node)
    run.fail(RuntimeStopping(f"Run {run.record.id} {words}."))
