"""The ports to pools: how many slots somebody gave them, and, where several nodes share a store, who has them.

`PoolSlots` is what every store remembers: the numbers that were set at run time. `SharedPools` is what nodes have
in common. A node asks for slots by *claims*, each with a number of its own. A claim is granted all that it asks for
at once. Of those that wait the one of the highest priority is next, then the one that came first, whichever node
it is of; one that does not get all it asks for keeps those behind it out of its pools, unless it asks for more than
there is. A claim is its node's: when somebody has seen that node go, its claims go with it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from flowstone.frozen import frozen

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from flowstone.runs.audit import Act
    from flowstone.runs.pools import Pool

__all__ = ["Claim", "Granted", "PoolSlots", "SharedPools"]


@frozen
class Claim:
    """What somebody asks for.

    Attributes:
        number: Its number at its node, higher than those before it.
        pools: The slots of each pool.
        priority: Higher ones are served first.
        run_id: The run that it is for.
        step: Who asks, as people know it.
    """

    number: int
    pools: tuple[tuple[str, int], ...]
    priority: int
    run_id: str
    step: str


@frozen
class Granted:
    """What a node learns of its claims.

    Attributes:
        fence: How often its claims were taken from it, because somebody took it for dead; None: it is no node. If
            that is not the number under which it asked, it has no claims, and nothing of what it asked was done.
        claims: Claims that are granted, unless it has said that it knows of them, and the pools of each. There may
            be some that it has given back: what it asks for in a call that breaks off may be done later.
    """

    fence: int | None
    claims: Mapping[int, tuple[str, ...]]


class PoolSlots(Protocol):
    """How many slots pools were given at run time. Calls may raise `StoreUnavailable`, and are safe to repeat."""

    async def set(self, name: str, slots: int | None, *, defined: int, act: Act | None = None) -> None:
        """Give a pool so many slots, whatever its pipeline says; None: as many as its pipeline says.

        Args:
            name: The pool.
            slots: How many.
            defined: How many its pipeline says.
            act: Who does it, for the audit log; None: it is not noted.
        """

    async def given(self) -> Mapping[str, int]:
        """The pools that were given another number of slots, with these."""


class SharedPools(Protocol):
    """The pools of several nodes. Each call may raise `StoreUnavailable`, and is safe to repeat."""

    async def define(self, node_id: str, pools: Collection[tuple[str, int]]) -> int | None:
        """Say which pools a node has, and with how many slots; of several nodes' numbers the smallest counts.

        Returns the node's fence, see `Granted`.
        """

    async def exchange(
        self,
        node_id: str,
        fence: int,
        *,
        asked: Sequence[Claim] = (),
        over: Collection[int] = (),
        known: Collection[int] = (),
        pools: Collection[str] = (),
    ) -> Granted:
        """Say what is new of a node's claims, and learn which are granted.

        Args:
            node_id: The node.
            fence: Its fence, as it knows it.
            asked: New claims.
            over: Claims that are given back, or not wanted any more.
            known: Claims of which it knows that they are granted.
            pools: The pools of `over`, and those that are to be looked at.
        """

    async def forget(self, node_id: str) -> None:
        """Free what a node holds that is gone."""

    async def differences(self, names: Collection[str]) -> Mapping[str, tuple[int, int]]:
        """The smallest and the largest number of slots with which nodes define these pools, where they differ."""

    async def show(self, names: Collection[str]) -> Sequence[Pool]:
        """These pools, and all that somebody defines, has set or asks for, by name."""
