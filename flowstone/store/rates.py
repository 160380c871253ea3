"""The port to rates that several nodes share: turns at even intervals, reserved a few at a time.

Nodes reserve turns that are yet to come and use them at their instants. None is saved up, and none that was not
used in time is used later.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from flowstone.frozen import frozen

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

__all__ = ["Reserved", "SharedRates", "Wanted"]


@frozen
class Wanted:
    """Turns that a node wants.

    Attributes:
        rate: The rate.
        gap: Seconds between two turns.
        count: How many turns; 0: only what the store's clock shows.
        lead: Seconds from now before which none of them is of use.
    """

    rate: str
    gap: float
    count: int
    lead: float


@frozen
class Reserved:
    """Turns that are a node's.

    Attributes:
        rate: The rate.
        now: The store's clock, in seconds.
        first: When the first of them is, by that clock.
        count: How many. 0: others have reserved so many that there is no use in asking again before `first`.
    """

    rate: str
    now: float
    first: float
    count: int


class SharedRates(Protocol):
    """The rates of several nodes. Calls may raise `StoreUnavailable`; what is asked again is reserved again."""

    async def reserve(self, wanted: Collection[Wanted]) -> Sequence[Reserved]:
        """Reserve the next turns, after those that are reserved."""
