"""The runtime-wide limit on steps that run at a time, shared by all runs, first come first served.

A step may ask to run *alone*: it starts when no other step of this process runs, and none starts until it is
done. It waits its turn like every other one, and those behind it wait as well: were they let past, there might
always be one that runs.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

Item = TypeVar("Item")

__all__ = ["Slots", "SlotsStatistics"]


@dataclass(frozen=True, slots=True)
class SlotsStatistics:
    """How full the runtime is: slots in all, taken, and steps waiting for one; whether one step has all."""

    limit: int
    taken: int
    waiting: int
    exclusive: bool = False


class Slots:
    """A counting semaphore for callbacks: a step that finds a slot free starts in the same turn of the loop.

    An `asyncio.Semaphore` would cost a waiting task per step, and hand slots over a turn later.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._taken = 0
        self._exclusive = False  # Who holds the one slot that is taken runs alone.
        self._waiting: deque[tuple[Callable[[Any], bool], Any, bool]] = deque()

    def take(self, start: Callable[[Item], bool], item: Item, *, alone: bool = False) -> None:
        """Call `start(item)` with a slot, now or when one is free. It returns False to hand the slot back.

        Args:
            start: Called once, unless `withdraw(item)` comes first.
            item: What it is called with.
            alone: Whether it wants to be the only one that holds a slot.
        """
        if self._taken < self.limit and not (alone or self._waiting or self._exclusive):
            self._taken += 1
            if not start(item):
                self.release()
        else:
            self._waiting.append((start, item, alone))
            self._serve()

    def release(self) -> None:
        """Give a slot back; it goes to whoever waits longest."""
        self._taken -= 1
        self._exclusive = False  # If there was one it was this, because no other slot was taken.
        if self._waiting:
            self._serve()

    def withdraw(self, item: object) -> None:
        """It wants a slot no more. Without this it keeps its place, and one that is to run alone the others."""
        kept = [waiting for waiting in self._waiting if waiting[1] is not item]
        if len(kept) < len(self._waiting):
            self._waiting = deque(kept)
            self._serve()

    def statistics(self) -> SlotsStatistics:
        return SlotsStatistics(self.limit, self._taken, len(self._waiting), self._exclusive)

    def _serve(self) -> None:
        """Let those in that may, in their order."""
        while self._waiting and not self._exclusive:
            start, item, alone = self._waiting[0]
            if self._taken >= (1 if alone else self.limit):
                return
            self._waiting.popleft()
            self._taken += 1
            self._exclusive = alone
            if not start(item):
                self._taken -= 1
                self._exclusive = False
