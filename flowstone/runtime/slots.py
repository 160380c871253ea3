"""The runtime-wide limit on steps that run at a time, shared by all runs, first come first served."""

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
    """How full the runtime is: slots in all, taken, and steps waiting for one."""

    limit: int
    taken: int
    waiting: int


class Slots:
    """A counting semaphore for callbacks: a step that finds a slot free starts in the same turn of the loop.

    An `asyncio.Semaphore` would cost a waiting task per step, and hand slots over a turn later.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._taken = 0
        self._waiting: deque[tuple[Callable[[Any], bool], Any]] = deque()

    def take(self, start: Callable[[Item], bool], item: Item) -> None:
        """Call `start(item)` with a slot, now or when one is free. It returns False to hand the slot back."""
        if self._taken < self.limit:
            self._taken += 1
            if not start(item):
                self.release()
        else:
            self._waiting.append((start, item))

    def release(self) -> None:
        """Give a slot back; it goes to whoever waits longest."""
        while self._waiting:
            start, item = self._waiting.popleft()
            if start(item):
                return
        self._taken -= 1

    def statistics(self) -> SlotsStatistics:
        return SlotsStatistics(self.limit, self._taken, len(self._waiting))
