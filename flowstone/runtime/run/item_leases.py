"""The items of one step that other nodes go through, as the attempt that drives the step sees them.

One lease is of a range of items, which its node goes through one after the other: it takes one of the places that
`max_parallel` gives, wherever it is. How long a range is follows from the time that an item takes here, so that a
lease is worth what giving it costs, and little is called again if its node dies.
"""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

from flowstone.runs.item_range import ItemRange

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from flowstone.actors import Clock
    from flowstone.runs.records import StepKey
    from flowstone.runs.units import Unit
    from flowstone.runtime.run.remote_steps import RemoteSteps

__all__ = ["EndedLease", "ItemLeases"]

_PATIENCE: Final = 0.020  # Seconds in which items here show how long they take, before any is leased.
_TARGET: Final = 0.5  # Seconds that a lease is to take.
_WORTH: Final = 0.1  # Seconds of work that are not worth a lease.
_LONGEST: Final = 500  # Items of a lease.
_NEWEST: Final = 0.2  # The weight of the newest of all measurements.


class EndedLease(NamedTuple):
    """A lease that is over: its items, its node, and whether it went with that."""

    items: ItemRange
    units: Sequence[Unit]
    node: str
    lost: bool


class ItemLeases:
    """What one attempt has leased; its length says how many leases there are.

    Args:
        remote: What lets other nodes go through items.
        clock: The clock.
        step: The step.
        attempt: The number of the attempt.
        most: Items that may run at a time, on all nodes.
        wake: Called when there is something to be done.
    """

    def __init__(
        self,
        remote: RemoteSteps,
        clock: Clock,
        step: StepKey,
        attempt: int,
        most: int,
        wake: Callable[[], None],
    ) -> None:
        self._remote = remote
        self._clock = clock
        self._step = step
        self._attempt = attempt
        self._most = most
        self._wake = wake
        self._numbers = count(1)
        self._leased: dict[ItemRange, Sequence[Unit]] = {}
        self._ended: list[EndedLease] = []
        self._average: float | None = None  # Seconds that an item takes here.
        self._patience: Literal["whole", "going", "over"] = "whole"

    def __len__(self) -> int:
        return len(self._leased)

    def took(self, seconds: float) -> None:
        """An item that ran here has ended."""
        before = self._average
        self._average = seconds if before is None else before + (seconds - before) * _NEWEST

    def size(self, busy_here: int, left: int | None) -> int | None:
        """How many of the next items another node had better go through; None: that will be seen soon.

        Args:
            busy_here: Items under way here.
            left: Items that have not begun, if that is known.
        """
        if not busy_here or not self._remote.wants_items(self._step[0], busy_here):
            return 0
        average = self._average
        if average is None:
            self._have_patience()
            return 1 if self._patience == "over" else None
        if left is not None and left * average < _WORTH:
            return 0
        size = min(_LONGEST, max(1, round(_TARGET / average) if average > 0 else _LONGEST))
        return size if left is None else min(size, max(1, left // (2 * self._most)))

    def _have_patience(self) -> None:
        if self._patience == "whole":
            self._patience = "going"
            self._clock.call_later(_PATIENCE, self._lose_patience)

    def _lose_patience(self) -> None:
        # Not to be told by the clock: a timer may ring a little before its time, and nothing would wake us then.
        self._patience = "over"
        self._wake()

    def lease(self, units: Sequence[Unit], busy_here: int) -> bool:
        """Let another node go through these; False if none is to by now."""
        items = ItemRange(units[0].position, units[-1].position, next(self._numbers))
        if not self._remote.takes_items(self._step, self._attempt, items, busy_here, self._over):
            return False
        self._leased[items] = units
        return True

    def cancel(self) -> None:
        """Have all of it stopped."""
        for items in self._leased:
            self._remote.cancels_items(self._step, items)

    def unused(self, node: str) -> None:
        """A node has done nothing with a lease: it stops, or cannot."""
        self._remote.shun(node)

    def _over(self, items: ItemRange, node: str, lost: bool) -> None:
        self._ended.append(EndedLease(items, self._leased[items], node, lost))
        self._wake()

    @property
    def ended(self) -> bool:
        """Whether there is anything to be taken over."""
        return bool(self._ended)

    def take_ended(self) -> list[EndedLease]:
        """The leases that are over, of which nothing more is kept here."""
        ended, self._ended = self._ended, []
        for each in ended:
            del self._leased[each.items]
        return ended
