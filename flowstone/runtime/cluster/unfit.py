"""Which runs in the queue this node cannot run by its definitions, and why: for who wonders what they wait for.

A node with room takes a run before it knows. One whose asset it does not have it puts back, for a node that has it;
one that does not fit its definitions any more it fails. While it is full it takes nothing, and says why beforehand.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from flowstone.runtime.execution.guard import describe
from flowstone.runtime.run.planning import dynamic_keys
from flowstone.runtime.run.takeover import check, view_for

if TYPE_CHECKING:
    from flowstone.runtime.context import RuntimeContext
    from flowstone.store.cluster import Cluster

__all__ = ["unfit_runs"]

_MOST: Final = 200  # Runs that are looked at, the most urgent ones.


async def unfit_runs(ctx: RuntimeContext, cluster: Cluster) -> dict[str, str]:
    """The runs by id, each with the reason.

    Raises:
        StoreUnavailable: The store is away.
    """
    waiting = await cluster.queued(ctx.snapshot.names, _MOST)
    if not waiting:
        return {}
    dynamic = await dynamic_keys(ctx)
    unfit = {}
    for record in waiting:
        try:
            check(view_for(ctx, record, dynamic), record)
        except Exception as error:
            unfit[record.id] = describe(error, None).message
    return unfit
