"""Whether somebody looks at what this node does: then it says so at once, else with its beats."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from flowstone.actors import Clock

__all__ = ["REPORT_INTERVAL", "Watched"]

REPORT_INTERVAL: Final = 0.2
"""Seconds between two reports at least, while they are watched."""

_FOR: Final = 10.0  # Seconds after the last who said so; whoever goes on watching says it again before.
_TREE_INTERVAL: Final = 0.2
_TREE_SHARE: Final = 20.0  # A tree is not looked at for longer than this part of the time.


class Watched:
    """Who watches, as far as this node has heard.

    Args:
        clock: How long ago that was.

    Attributes:
        number: The last who said so.
    """

    def __init__(self, clock: Clock) -> None:
        self.number = 0
        self._clock = clock
        self._heard_at = float("-inf")
        self._trees_heard_at = float("-inf")
        self._tree_due = float("-inf")

    def heard(self, subject: str) -> bool:
        """What a notification says: a number, and `trees` if these are watched too. Whether it is somebody new."""
        number, _, trees = subject.partition(" ")
        now = self._clock.monotonic()
        self._heard_at = now
        if trees:
            self._trees_heard_at = now
        new = int(number) > self.number
        self.number = max(self.number, int(number))
        return new

    @property
    def now(self) -> bool:
        """Whether somebody watches."""
        return self._clock.monotonic() - self._heard_at < _FOR

    def wants_tree(self) -> bool:
        """Whether it is time to look at the tree again."""
        now = self._clock.monotonic()
        return now - self._trees_heard_at < _FOR and now >= self._tree_due

    def looked_at_tree(self, seconds: float) -> None:
        """That took so long."""
        self._tree_due = self._clock.monotonic() + max(_TREE_INTERVAL, seconds * _TREE_SHARE)
