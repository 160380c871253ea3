"""What this node knows of the others: who is alive, and whether it may call anybody dead."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flowstone.errors import StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import Awaitable, Sequence
    from typing import TypeVar

    from flowstone.actors import Clock
    from flowstone.store.cluster import WatchedNode

    T = TypeVar("T")

__all__ = ["Peers"]


class Peers:
    """The nodes as they were last seen.

    While the store was away nobody could beat. So after an outage every lease has run out, the leases of healthy
    nodes as well, and a node that looked at once would take over what its neighbours drive. Whoever meets an
    outage therefore waits one lease before it calls anybody dead: in that time all who live have beaten.

    Args:
        clock: Times the wait.
        lease: Seconds a node's lease lasts.
    """

    def __init__(self, clock: Clock, lease: float) -> None:
        self._clock = clock
        self._lease = lease
        self._patient_until = float("-inf")
        self._seen: dict[str, tuple[WatchedNode, float]] = {}

    @property
    def sees_deaths(self) -> bool:
        """Whether a lease that has run out means that its node is dead."""
        return self._clock.monotonic() >= self._patient_until

    def outage(self) -> None:
        """The store was away, or this node was."""
        self._patient_until = self._clock.monotonic() + self._lease

    async def asked(self, answer: Awaitable[T]) -> T:
        """What the store says; an answer that failed or took long tells of an outage. Raises as `answer`."""
        asked = self._clock.monotonic()
        try:
            return await answer
        except StoreUnavailable:
            self.outage()
            raise
        finally:
            if self._clock.monotonic() - asked > self._lease / 3:
                self.outage()

    def saw(self, nodes: Sequence[WatchedNode]) -> None:
        """Take in what the store says of all nodes."""
        now = self._clock.monotonic()
        self._seen = {watched.node.id: (watched, now + watched.left) for watched in nodes}

    def all_alive(self) -> list[WatchedNode]:
        """The nodes whose lease is valid, as far as is known."""
        now = self._clock.monotonic()
        return [watched for watched, until in self._seen.values() if until > now]

    def dead(self, node_id: str) -> bool:
        """Whether the node's lease has run out for certain; a node that is not listed has been gone for a day."""
        seen = self._seen.get(node_id)
        return self.sees_deaths and (seen is None or seen[0].left <= 0)

    def next_end(self) -> float | None:
        """Seconds until the first of the valid leases runs out, if its node does not beat; None without any."""
        now = self._clock.monotonic()
        return min((until - now for _, until in self._seen.values() if until > now), default=None)

    def due(self) -> bool:
        """Whether one of the leases has run out since the nodes were looked at: somebody beat, or died."""
        now = self._clock.monotonic()
        return any(watched.left > 0 and until <= now for watched, until in self._seen.values())
