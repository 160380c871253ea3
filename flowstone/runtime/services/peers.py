"""What this node knows of the others: who lives, who is gone, and whose runs are to be adopted.

A node lives while the number of its beats rises. It is gone when it said that it leaves, or when this observer
has seen no new beat for the node's lease on its own monotonic clock, which nobody can step. How long a node has
been silent is thus something that only an observer knows who has watched it: one that has just begun to watch
knows of no death before a lease is over.

A beat is seen at the look after it, up to a second late. So that adoption need not be late as well, the store
says how long ago the beat was; that is believed only as far as it lies between the look that did not show the
beat and the one that did. A step of the store's clock therefore moves what is known of a beat by no more than
the time between two looks.

While the store was away nobody could beat. So a silence that an outage interrupted starts again after it, and so
does one during which this process itself was stopped.

Rejected: leases that end at an instant of the database's clock. A step of that clock ends them all at once, or
lets the dead live for as long as the step.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from flowstone.errors import StoreUnavailable
from flowstone.frozen import frozen

if TYPE_CHECKING:
    from collections.abc import Awaitable, Collection, Sequence
    from typing import TypeVar

    from flowstone.actors import Clock
    from flowstone.store.cluster import Beats, Cluster, WatchedNode

    T = TypeVar("T")

__all__ = ["Peers", "SilentNode"]

_LATE = 0.375
"""The part of its lease after which a silent node has missed a beat: it sends four in a lease."""

_BLINK = 2.0  # Seconds between two looks that are no reason to distrust what lies between them.


@frozen
class SilentNode:
    """A node that should have beaten, and is left what it drives as long as it may live.

    Attributes:
        node: Its id.
        runs: The unfinished runs that it owns.
        silent: Seconds since its last beat.
        left: Seconds until it is gone, if it stays silent.
    """

    node: str
    runs: int
    silent: float
    left: float


class _Silence:
    """What was last seen of one node, and since when nothing new."""

    __slots__ = ("before", "begun", "fresh", "seen")

    def __init__(self, seen: Beats, begun: float, fresh: bool, before: float = 0.0) -> None:
        self.seen = seen
        self.before = before  # Seconds for which it had been silent by then, as the store says.
        self.begun = begun
        self.fresh = fresh  # It was seen to beat, or seemed to live when it was seen first.


class Peers:
    """The nodes as they were last seen.

    Args:
        clock: Its monotonic time is all that counts.
        lease: Seconds of silence after which an owner of runs is gone that is not listed as a node.

    Attributes:
        outages: How often the store was away, or this node: others may have taken what it had.
    """

    def __init__(self, clock: Clock, lease: float) -> None:
        self._clock = clock
        self._lease = lease
        self._silences: dict[str, _Silence] = {}
        self._nodes: dict[str, WatchedNode] = {}
        self._looked_at: float | None = None
        self.outages = 0

    # Looking ------------------------------------------------------------------------------------------------

    async def look(self, cluster: Cluster, pipelines: Collection[str]) -> None:
        """See who has beaten, and who owns runs of these pipelines. Raises `StoreUnavailable`."""
        self.heard(await self.asked(cluster.beats(pipelines)))

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

    def heard(self, beats: Sequence[Beats]) -> None:
        """Take in what the store says of all nodes at this moment."""
        now = self._clock.monotonic()
        if self._looked_at is not None and now - self._looked_at > max(self._lease, _BLINK):
            self.outage()
        before, self._looked_at = self._looked_at, now
        listed = {each.node: self._silence(each, before, now) for each in beats}
        for node_id in self._silences.keys() - listed.keys():
            if not self.gone(node_id):
                listed[node_id] = self._silences[node_id]
        self._silences = listed

    def saw(self, nodes: Sequence[WatchedNode]) -> None:
        """Take in what the nodes say of themselves."""
        self._nodes = {watched.node.id: watched for watched in nodes}

    def outage(self) -> None:
        """The store was away, or this node was: who lives has had no chance to show it."""
        self.outages += 1
        now = self._clock.monotonic()
        for silence in self._silences.values():
            if not self._over(silence):
                silence.begun = now
        self._looked_at = now

    def _silence(self, beats: Beats, before: float | None, now: float) -> _Silence:
        known = self._silences.get(beats.node)
        if known is not None and known.seen.count == beats.count:
            known.seen = beats
            return known
        if before is None or beats.age is None:
            fresh = beats.lease is not None and beats.age is not None and 0 <= beats.age < beats.lease
            return _Silence(beats, now, fresh, max(0.0, beats.age or 0.0) if before is None else 0.0)
        return _Silence(beats, min(now, max(before, now - beats.age)), fresh=True)

    # Judging ------------------------------------------------------------------------------------------------

    def gone(self, node_id: str) -> bool:
        """Whether a node has left, or is dead; one of which nothing is known has been gone for long."""
        silence = self._silences.get(node_id)
        return silence is None or silence.seen.gone or self._over(silence)

    def orphaned(self) -> list[str]:
        """The owners of unfinished runs that are gone."""
        return [name for name, silence in self._silences.items() if silence.seen.runs and self.gone(name)]

    def claimants_gone(self) -> list[str]:
        """Nodes that are gone and have something to do with pools."""
        return [name for name, silence in self._silences.items() if silence.seen.claims and self.gone(name)]

    def callers_gone(self) -> list[str]:
        """Nodes that are gone and on which somebody wanted a run."""
        return [name for name, silence in self._silences.items() if silence.seen.calls and self.gone(name)]

    def all_alive(self) -> list[WatchedNode]:
        """The nodes that live, as far as is known: of those seen for the first time, the ones that seem to."""
        return [
            watched
            for node_id, watched in self._nodes.items()
            if not self.gone(node_id) and self._silences[node_id].fresh
        ]

    def alone(self, node_id: str) -> bool:
        """Whether no other node is known, whether it lives or not."""
        return not self._nodes or (len(self._nodes) == 1 and node_id in self._nodes)

    def strangers(self) -> bool:
        """Whether there are nodes that live and of which nothing is known but their beats."""
        return any(
            silence.fresh and silence.seen.lease is not None and not self.gone(name)
            for name, silence in self._silences.items()
            if name not in self._nodes
        )

    def silent(self, pipelines: Collection[str]) -> list[SilentNode]:
        """Nodes that may be dead and own runs, or have such pipelines; the first to be gone first."""
        now = self._clock.monotonic()
        found: list[SilentNode] = []
        for name, silence in self._silences.items():
            seen, end = silence.seen, self._end(silence)
            age = silence.before + now - silence.begun
            if self.gone(name) or age < _LATE * (end - silence.begun):
                continue
            known = self._nodes.get(name)
            if seen.runs or (known is not None and not set(pipelines).isdisjoint(known.node.pipelines)):
                found.append(SilentNode(name, seen.runs, age, max(0.0, end - now)))
        return sorted(found, key=lambda each: (each.left, each.node))

    def next_end(self) -> float | None:
        """Seconds until the first of those who live would be gone without a new beat; None where nobody lives."""
        now = self._clock.monotonic()
        ends = [self._end(silence) for name, silence in self._silences.items() if not self.gone(name)]
        return max(0.0, min(ends) - now) if ends else None

    def _over(self, silence: _Silence) -> bool:
        """Whether it lasted for a lease, up to the last look: what nobody has looked at since is not known."""
        return self._looked_at is not None and self._end(silence) <= self._looked_at

    def _end(self, silence: _Silence) -> float:
        lease = silence.seen.lease
        return silence.begun + (self._lease if lease is None else lease)
