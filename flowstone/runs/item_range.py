"""A range of the items of one step, which another node goes through under one step lease.

The lease names it in place of a partition key, by a text that no partition has:

    items:FIRST-LAST:NUMBER:KEY     positions, the lease's number among those of the step, the step's own key
"""

from __future__ import annotations

from typing import Final, NamedTuple, Self

__all__ = ["ItemRange"]

_TAG: Final = "items:"


class ItemRange(NamedTuple):
    """Positions from `first` to `last`, both included.

    Attributes:
        first: The first one.
        last: The last one.
        number: Tells leases of the same positions apart: what is lost is leased again.
    """

    first: int
    last: int
    number: int

    def key(self, partition_key: str | None) -> str:
        """What the lease says in place of the key of the step."""
        return f"{_TAG}{self.first}-{self.last}:{self.number}:{partition_key or ''}"

    @classmethod
    def read(cls, key: str | None) -> tuple[Self, str | None] | None:
        """The range and the key of the step that a lease's key says; None if it is of a whole step."""
        if key is None or not key.startswith(_TAG):
            return None
        positions, number, partition_key = key.removeprefix(_TAG).split(":", 2)
        first, last = positions.split("-")
        return cls(int(first), int(last), int(number)), partition_key or None
