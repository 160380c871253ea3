"""What can be seen of a pool at one instant."""

from __future__ import annotations

from flowstone.frozen import frozen

__all__ = ["Pool"]


@frozen
class Pool:
    """A pool: how many slots it has, and who takes them.

    Attributes:
        name: Its name.
        slots: How many slots it has.
        taken: How many of them are taken; more than it has, for a while, after it was given fewer.
        waiting: Steps that wait for it.
        holders: The steps that hold slots of it, as people know them, those that began first in front.
    """

    name: str
    slots: int
    taken: int
    waiting: int
    holders: tuple[str, ...] = ()
