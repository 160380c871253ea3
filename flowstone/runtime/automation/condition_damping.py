"""How often a condition may start one and the same partition: a loop that no graph shows ends here.

Within a graph no change comes back to where it came from. It may by a listener, by an asset that computes another
one, or over two pipelines. Whoever is started so often is paused, and it is said why.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

    from flowstone.runtime.automation.condition_state import Key

__all__ = ["Damping"]

_FORGOTTEN: Final = 10_000  # Partitions beyond which those that were not started lately are forgotten.


class Damping:
    """Counts the starts of each partition.

    Attributes:
        most: So many starts of a partition are too many ...
        seconds: ... within so many seconds.
    """

    most: Final = 100
    seconds: Final = 600.0

    def __init__(self) -> None:
        self._starts: dict[tuple[str, Key], deque[float]] = {}

    def refuses(self, asset: str, keys: Iterable[Key], now: float) -> tuple[Key] | None:
        """Count these starts; the partition for which that is too many, or None."""
        if len(self._starts) > _FORGOTTEN:
            self._starts = {
                at: starts for at, starts in self._starts.items() if now - starts[-1] < self.seconds
            }
        for key in keys:
            starts = self._starts.setdefault((asset, key), deque(maxlen=self.most))
            if len(starts) == self.most and now - starts[0] < self.seconds:
                return (key,)
            starts.append(now)
        return None

    def forget(self, asset: str) -> None:
        """Begin anew with an asset."""
        self._starts = {at: starts for at, starts in self._starts.items() if at[0] != asset}
