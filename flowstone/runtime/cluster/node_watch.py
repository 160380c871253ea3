"""Looking at all nodes of a store, as they are now.

Nodes say what they do with their beats, a few times in a lease. Who wants to see it earlier says so in the store,
for ten seconds; from then on each node says at once what has changed, at most five times a second, and shows its
tree a few times a second if it has changed. While nobody says so, none of this costs anything.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from flowstone.errors import StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flowstone.actors import Clock
    from flowstone.store.cluster import Cluster, WatchedNode

__all__ = ["NodeWatch"]

_FOR: Final = 10.0  # Seconds, as nodes count it.
_AGAIN: Final = 3.0  # After so many it is said again by who goes on watching.
_ANSWER: Final = 0.5  # Seconds that nodes get to answer who comes to watch; one that is blocked does not.
_LOOK: Final = 0.03
_SHARED: Final = 0.1  # Seconds for which an answer is good for others of this process.


class NodeWatch:
    """One process that watches; those who ask at about the same time share an answer.

    Args:
        cluster: The port.
        clock: Counts the seconds.
    """

    def __init__(self, cluster: Cluster, clock: Clock) -> None:
        self._cluster = cluster
        self._clock = clock
        self._said_at = {False: float("-inf"), True: float("-inf")}  # Without and with trees.
        self._read_at = {False: float("-inf"), True: float("-inf")}
        self._read: Sequence[WatchedNode] = ()
        self._asking = asyncio.Lock()

    async def nodes(self, *, trees: bool = False) -> Sequence[WatchedNode]:
        """The nodes of the last day, each as it said at most half a second ago, if it lives and is not blocked.

        Raises:
            StoreUnavailable: It does not answer.
        """
        async with self._asking:
            now = self._clock.monotonic()
            if now - self._read_at[trees] >= _SHARED:
                self._read = await self._fresh(trees)
                now = self._clock.monotonic()
                self._read_at = {False: now, True: now if trees else float("-inf")}
            return self._read

    async def _fresh(self, trees: bool) -> Sequence[WatchedNode]:
        since = self._clock.monotonic() - self._said_at[trees]
        if since < _AGAIN:
            return await self._cluster.nodes(trees=trees)
        try:
            number = await self._cluster.watch_nodes(_FOR, trees=trees)
        except StoreUnavailable:
            number = None  # It may be looked at, and not written to.
        if number is None:
            return await self._cluster.nodes(trees=trees)
        until = self._clock.monotonic() + _ANSWER
        self._said_at[False] = self._clock.monotonic()
        if trees:
            self._said_at[True] = self._said_at[False]
        nodes = await self._cluster.nodes(trees=trees)
        while since >= _FOR and self._clock.monotonic() < until and not _all_answer(nodes, number):
            await self._clock.sleep(_LOOK)
            nodes = await self._cluster.nodes(trees=trees)
        return nodes


def _all_answer(nodes: Sequence[WatchedNode], number: int) -> bool:
    return all(each.report.heard >= number for each in nodes if each.seems_alive)
