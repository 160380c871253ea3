"""What a run waits for: to be taken out of the queue, as far as the store and the nodes say, or for its steps."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flowstone.cli.labels import count
from flowstone.runs.records import Status

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from flowstone.runs.records import RunRecord
    from flowstone.store import Store
    from flowstone.store.cluster import WatchedNode

__all__ = ["holders_of", "refusals", "why_waiting", "without_node"]


async def why_waiting(store: Store, run: RunRecord) -> str | None:
    """What a run waits for, and what to do; None if it is neither parked nor in the queue of a shared store."""
    if run.status is Status.WAITING:
        return "for its steps, which sleep or wait for an answer: `flowstone approvals` lists what to approve"
    waits = run.status is Status.QUEUED or (run.owner is None and not run.status.terminal)
    if not waits or store.cluster is None:
        return None
    nodes = await store.cluster.nodes()
    holders = holders_of(nodes, run.pipeline)
    if not holders:
        return _missing_node(nodes, run.pipeline)
    said = refusals(holders, run.id)
    if len(said) == len(holders):
        return (
            f"for a node that can run it; none of {count(len(holders), 'node')} holding {run.pipeline!r} can: "
            f"{' / '.join(dict.fromkeys(said))} `flowstone cancel {run.id}` takes it out of the queue"
        )
    others = f"; {count(len(said), 'other node')} cannot run it: {said[0]}" if said else ""
    room = f"for room on {count(len(holders) - len(said), 'node')} holding {run.pipeline!r}"
    return f"{room}: `flowstone tree` shows what they do{others}"


async def without_node(store: Store, run: RunRecord) -> str | None:
    """As `why_waiting`, of a queued run that no living node would take; None for every other one."""
    if run.status is not Status.QUEUED or store.cluster is None:
        return None
    nodes = await store.cluster.nodes()
    return None if holders_of(nodes, run.pipeline) else _missing_node(nodes, run.pipeline)


def _missing_node(nodes: Iterable[WatchedNode], pipeline: str) -> str:
    alive = sum(watched.seems_alive for watched in nodes)
    if not alive:
        return "for a node, and none is alive: start `flowstone worker MODULE:PIPELINE`"
    others = f"{count(alive, 'other node')} alive, of other pipelines"
    return f"for a node that holds {pipeline!r} ({others}): start `flowstone worker MODULE:PIPELINE`"


def holders_of(nodes: Iterable[WatchedNode], pipeline: str) -> list[WatchedNode]:
    """The nodes that seem to live and take runs of this pipeline."""
    return [watched for watched in nodes if watched.seems_alive and pipeline in watched.node.pipelines]


def refusals(holders: Iterable[WatchedNode], run_id: str) -> Sequence[str]:
    """Why nodes cannot run this run of the queue; one reason for each that cannot."""
    return [watched.report.unfit[run_id] for watched in holders if run_id in watched.report.unfit]
