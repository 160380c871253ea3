"""Runs that this node handed back to the queue and leaves alone for a while, or they would come straight back.

Only this node does: another one may know the asset, or be free of what still runs here. The time is that of this
node's monotonic clock. Rejected: a time in the queue before which nobody takes the run, because each node would
compare it with a clock that may be stepped meanwhile.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from flowstone.actors import Clock

__all__ = ["Holds"]


class Holds:
    """The runs left alone, each until an instant of the clock."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._until: dict[str, float] = {}

    def hold(self, run_id: str, seconds: float) -> None:
        """Leave this run alone for so long."""
        self._until[run_id] = self._clock.monotonic() + seconds

    def held(self) -> list[str]:
        """The runs that are left alone now."""
        now = self._clock.monotonic()
        self._until = {run_id: until for run_id, until in self._until.items() if until > now}
        return list(self._until)
