"""Which node executes a step: pure rules."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from flowstone.io.memory import MemoryIO

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from flowstone.assets.graph import AssetGraph
    from flowstone.io.manager import IOManager

__all__ = ["Candidate", "place", "travels"]


@dataclass(frozen=True, slots=True)
class Candidate:
    """A node that could execute a step.

    Attributes:
        node: Its id.
        capacity: Steps it runs at a time.
        busy: Steps of this run that it executes.
    """

    node: str
    capacity: int
    busy: int


def place(own: Candidate, peers: Iterable[Candidate]) -> str:
    """The node with the fewest of the run's steps for its size; the own node if it is as good as any.

    A peer is given no more steps than it runs at a time. What is left when all are full waits for a slot on the own
    node.
    """
    best = own
    for peer in peers:
        if peer.busy < peer.capacity and peer.busy * best.capacity < best.busy * peer.capacity:
            best = peer
    return best.node


def travels(graph: AssetGraph, asset: str, managers: Mapping[str, IOManager]) -> bool:
    """Whether steps of an asset may be executed by another node.

    Not if its value, or that of an upstream asset, stays in the memory of the process that computed it.
    """
    names = [asset, *(dependency.asset for dependency in graph[asset].dependencies)]
    stores = (graph[name].io for name in names if not graph[name].is_constant)
    return not any(isinstance(managers.get(store), MemoryIO) for store in stores)
