"""What keeps a queued run from being taken, as far as the store knows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flowstone.cli.labels import count
from flowstone.runs.records import Status

if TYPE_CHECKING:
    from flowstone.runs.records import RunRecord
    from flowstone.store import Store

__all__ = ["why_waiting"]


async def why_waiting(store: Store, run: RunRecord) -> str | None:
    """For whom a run waits, and what to do; None for one that is not queued, or in no store that nodes share."""
    if run.status is not Status.QUEUED or store.cluster is None:
        return None
    alive = [watched.node for watched in await store.cluster.nodes() if watched.seems_alive]
    holders = [node for node in alive if run.pipeline in node.pipelines]
    if not alive:
        return "for a node, and none is alive: start `flowstone worker MODULE:PIPELINE`"
    if not holders:
        others = f"{count(len(alive), 'other node')} alive, of other pipelines"
        return f"for a node that holds {run.pipeline!r} ({others}): start `flowstone worker MODULE:PIPELINE`"
    return (
        f"for room on {count(len(holders), 'node')} that holds {run.pipeline!r}, or for one that knows the asset "
        f"{run.request.asset!r}: `flowstone tree` shows what they do"
    )
