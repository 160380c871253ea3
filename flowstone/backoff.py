"""How long to wait before the next try of something that fails: longer each time, and never in step with others."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from random import Random

__all__ = ["Backoff"]


class Backoff:
    """The pauses between tries: exponential, capped and jittered.

    Each pause is `factor` times the one before, at most `longest`, and then shortened at random by up to a half,
    so that many who lost the same thing at the same time do not all come back to it at the same time.

    Args:
        first: Seconds of the first pause, before it is shortened.
        longest: Seconds that no pause exceeds.
        random: Source of the jitter.
        factor: Growth from one pause to the next.
    """

    __slots__ = ("_factor", "_first", "_longest", "_next", "_random")

    def __init__(self, first: float, longest: float, random: Random, *, factor: float = 2.0) -> None:
        self._first = first
        self._longest = longest
        self._random = random
        self._factor = factor
        self._next = first

    def pause(self) -> float:
        """Seconds to wait now; the next pause is longer."""
        pause = min(self._longest, self._next)
        self._next = pause * self._factor
        return pause * self._random.uniform(0.5, 1.0)

    def reset(self) -> None:
        """It went well: the next pause is the first again."""
        self._next = self._first
