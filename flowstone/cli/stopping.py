"""A run that was told to stop: who stops it, or that nobody is left to, so that the command ends it itself.

Whoever drives it records its end. If that node is gone and no node lives that would take the run over, the run
would wait for one, and its pipeline may not even exist any more. Who is gone is judged as nodes judge each other:
after a lease without a new beat on this process's own monotonic clock.
"""

from __future__ import annotations

import os
import socket
from contextlib import suppress
from typing import TYPE_CHECKING

from flowstone.cli.drivers import Drivers
from flowstone.cli.labels import duration, request_label
from flowstone.runtime.run.closing import end_cancelled
from flowstone.runtime.services.peers import Peers
from flowstone.store.protocol import StaleWrite

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flowstone.actors import Clock
    from flowstone.runs.records import RunRecord
    from flowstone.store import Store
    from flowstone.store.cluster import Cluster, WatchedNode

__all__ = ["Stopping"]


class Stopping:
    """Watches the nodes that could stop a run, from when it was told to.

    Args:
        store: The store.
        cluster: What the nodes share.
        clock: Its monotonic time says who is gone.
        lease: Seconds of silence after which an owner is gone that is not listed as a node.
    """

    def __init__(self, store: Store, cluster: Cluster, clock: Clock, lease: float) -> None:
        self._store = store
        self._cluster = cluster
        self._clock = clock
        self._lease = lease
        self._peers = Peers(clock, lease)
        # No node of this name ever beats: if this process dies between claim and end, the run is an orphan.
        self._name = f"cancel-{socket.gethostname()}-{os.getpid()}-{clock.now():%H%M%S%f}"

    async def look(self, run: RunRecord) -> str:
        """Who stops the run, in words; if nobody is left to, it is ended here. Raises `StoreUnavailable`."""
        nodes = await self._cluster.nodes(trees=False)
        await self._peers.look(self._cluster, (run.pipeline,))
        what = f"run {run.id} ({request_label(run)})"
        if run.owner is not None and run.owner != self._name and not self._peers.gone(run.owner):
            silent = Drivers(nodes).silent(run)
            return self._waiting(run.owner, nodes) if silent else _request_sent(run.owner, what)
        able = Drivers(nodes).would_go_on(run)
        there = [each for each in able if not self._peers.gone(each.node.id)]
        if any(each.seems_alive for each in there):
            return f"Waiting for a node to take {what} over and stop it."
        if there:
            return self._waiting(there[0].node.id, nodes)
        with suppress(
            StaleWrite
        ):  # Somebody came to take it, or a step of it has just ended: the next look tells.
            await end_cancelled(self._store, self._name, run, self._clock.now())
        owner = f"Its node {run.owner} is gone" if run.owner else "Nobody drives it"
        return f"{owner}, and no living node holds {run.pipeline!r}: the run is ended here."

    def _waiting(self, node_id: str, nodes: Sequence[WatchedNode]) -> str:
        lease = next((each.node.lease for each in nodes if each.node.id == node_id), self._lease)
        return (
            f"The node {node_id} sends no heartbeats: if none comes for {duration(lease)} it is gone, "
            "and the run is taken over or ended here."
        )


def _request_sent(node_id: str, what: str) -> str:
    return f"Waiting for the node {node_id} to stop {what}."
