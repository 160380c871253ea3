"""Which node executes a step: pure rules."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flowstone.frozen import frozen
from flowstone.io.memory import MemoryIO

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from flowstone.assets.graph import AssetGraph
    from flowstone.io.manager import IOManager

__all__ = ["Candidate", "TurnaroundTimes", "items_travel", "place", "travels"]


_NEWEST = 0.2  # The weight of the newest of all measurements.
_LONG = 0.020  # Seconds; a step that takes longer is leased whatever its lease takes.
_WORTH = 2.0  # A shorter one, if it takes no more than so many times as long elsewhere.
_PROBE = 64  # Of so many steps that had better stay one is leased.
_DEAF = 0.008  # Seconds; a loop whose turns take longer is late to hear of ends, and to give new leases.
_AHEAD = 2.0  # A node holds at most so many leases for each step that it runs at a time.


class TurnaroundTimes:
    """Averages of the time from the order to start a step to its known end, by asset, and of what delays that.

    A lease takes some milliseconds to be given and to be answered. A step that is done in less had better stay.
    When the own node is overloaded its steps take longer, and leasing them is worth it again. Now and then one is
    leased all the same, because the other node may have been slow only at first.

    While the own node computes on its loop, it hears of no end and gives no lease. Then other nodes are given more
    than they run at a time, so that they do not run out of it, and the own node takes fewer steps.
    """

    def __init__(self) -> None:
        self._here: dict[str, float] = {}
        self._remote: dict[str, float] = {}
        self._stayed: dict[str, int] = {}
        self._executed: dict[str, float] = {}
        self._store = 0.0
        self._turn = 0.0

    def took_here(self, asset: str, seconds: float) -> None:
        """A step that ran on the own node has ended."""
        _add(self._here, asset, seconds)

    def took_elsewhere(self, asset: str, seconds: float) -> None:
        """A step that was leased has ended."""
        _add(self._remote, asset, seconds)

    def executed(self, asset: str, seconds: float) -> None:
        """So long an attempt on another node took, from its start to its end."""
        _add(self._executed, asset, seconds)

    def heard(self, store: float, turn: float) -> None:
        """So many seconds the store took to answer, and then the own loop for a turn."""
        self._store += (store - self._store) * _NEWEST
        self._turn += (turn - self._turn) * _NEWEST

    @property
    def own_share(self) -> float:
        """How much of what it could run the own node takes, at most 1."""
        return min(1.0, _DEAF / self._turn) if self._turn else 1.0

    def ahead(self, asset: str) -> float:
        """How many leases another node holds for each step that it runs at a time, at least 1.

        As many as it ends until the ends are heard of and new leases are given: an answer of the store for each,
        and a turn of the loop.
        """
        executed = self._executed.get(asset)
        return min(_AHEAD, 1.0 + (2 * self._store + self._turn) / executed) if executed else 1.0

    def worth_leasing(self, asset: str) -> bool:
        """Whether another node is quick enough, or it is time to see; called once a step."""
        here, elsewhere = self._here.get(asset), self._remote.get(asset)
        if here is None or elsewhere is None or here >= _LONG or elsewhere <= here * _WORTH:
            return True
        if self._turn > _DEAF:
            return True
        stayed = self._stayed[asset] = self._stayed.get(asset, 0) + 1
        return stayed % _PROBE == 0


def _add(averages: dict[str, float], asset: str, seconds: float) -> None:
    before = averages.get(asset)
    averages[asset] = seconds if before is None else before + (seconds - before) * _NEWEST


@frozen
class Candidate:
    """A node that could execute a step.

    Attributes:
        node: Its id.
        capacity: Steps it is given at a time.
        busy: Steps of this run that it executes.
    """

    node: str
    capacity: float
    busy: int


def place(own: Candidate, peers: Iterable[Candidate]) -> str:
    """The node with the fewest of the run's steps for its size; the own node if it is as good as any.

    A peer is given no more steps than it has room for. What is left when all are full waits for a slot on the own
    node.
    """
    best = own
    for peer in peers:
        if peer.busy < peer.capacity and peer.busy * best.capacity < best.busy * peer.capacity:
            best = peer
    return best.node


def travels(graph: AssetGraph, asset: str, managers: Mapping[str, IOManager]) -> bool:
    """Whether steps of an asset may be executed by another node.

    Not if it goes through items, or reads them: that is driven by the process that drives its run, and its items
    travel by themselves. Not if its value, or that of an upstream asset, stays in the memory of the process that
    computed it.
    """
    return not graph[asset].has_items and _is_within_reach(graph, asset, managers)


def items_travel(graph: AssetGraph, asset: str, managers: Mapping[str, IOManager]) -> bool:
    """Whether other nodes may go through items of an asset: likewise."""
    return graph[asset].each is not None and _is_within_reach(graph, asset, managers)


def _is_within_reach(graph: AssetGraph, asset: str, managers: Mapping[str, IOManager]) -> bool:
    names = [asset, *(dependency.asset for dependency in graph[asset].dependencies)]
    stores = (graph[name].io for name in names if not graph[name].is_constant)
    return not any(isinstance(managers.get(store), MemoryIO) for store in stores)
