"""Which of the steps that are ready is taken next.

Callbacks are called in the order in which they were set: asyncio promises that, and code rightly counts on it. What
no promise covers is which of two tasks that could both go on does so first. An order therefore chooses among the
tasks at the head of the line, as far as the first callback that is no task's; with `everything` it breaks the
promise too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Protocol
from weakref import WeakKeyDictionary

from flowstone.testing.simulation.handles import AnyHandle, task_of

if TYPE_CHECKING:
    import asyncio
    from collections import deque
    from random import Random

__all__ = ["Order", "Priorities", "Shuffle", "order_named"]

_CHANGES: Final = 3  # Of priorities, in so many steps:
_SPREAD: Final = 1_000


class Order(Protocol):
    """Chooses among what is ready."""

    def choose(self, ready: deque[AnyHandle]) -> int:
        """The position of the next step in `ready`, which is not empty."""


def _movable(ready: deque[AnyHandle]) -> int:
    """How many at the head of the line may change places."""
    for position, handle in enumerate(ready):
        if task_of(handle) is None:
            return max(1, position)
    return len(ready)


class Shuffle:
    """Any of them, with equal chances.

    Args:
        random: What chooses.
        everything: Whether callbacks change places as well.
    """

    def __init__(self, random: Random, *, everything: bool = False) -> None:
        self._random = random
        self._everything = everything

    def choose(self, ready: deque[AnyHandle]) -> int:
        among = len(ready) if self._everything else _movable(ready)
        return self._random.randrange(among) if among > 1 else 0


class Priorities:
    """The task with the highest priority, as long as it can go on; now and then the one that is next falls behind.

    Every task has a random priority. It finds what needs one task to be much slower than the others, which equal
    chances hardly ever bring about (probabilistic concurrency testing).

    Args:
        random: What gives priorities, and takes them.
    """

    def __init__(self, random: Random) -> None:
        self._random = random
        self._priorities: WeakKeyDictionary[asyncio.Task[Any], float] = WeakKeyDictionary()
        self._steps = 0
        self._changes = self._draw()

    def _draw(self) -> list[int]:
        return sorted(self._steps + self._random.randrange(1, _SPREAD) for _ in range(_CHANGES))

    def choose(self, ready: deque[AnyHandle]) -> int:
        self._steps += 1
        among = _movable(ready)
        best = max(range(among), key=lambda position: self._priority(ready[position])) if among > 1 else 0
        if self._steps >= self._changes[0]:
            del self._changes[0]
            task = task_of(ready[best])
            if task is not None:
                self._priorities[task] = -float(self._steps)  # Below all others, and those that fell before.
            if not self._changes:
                self._changes = self._draw()
        return best

    def _priority(self, handle: AnyHandle) -> float:
        task = task_of(handle)
        if task is None:
            return 1.0
        if task not in self._priorities:
            self._priorities[task] = self._random.random()
        return self._priorities[task]


def order_named(name: str, random: Random) -> Order | None:
    """`fifo`: None, the order of asyncio; `shuffle`; `priorities`.

    Raises:
        ValueError: Any other name.
    """
    if name == "fifo":
        return None
    if name == "shuffle":
        return Shuffle(random)
    if name == "priorities":
        return Priorities(random)
    raise ValueError(f"The order of a loop is fifo, shuffle or priorities, not {name!r}.")
