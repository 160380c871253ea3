"""Runs of the queue that this node leaves alone for a while, by its own monotonic clock."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from flowstone.actors import Clock

__all__ = ["SnoozedRuns"]


class SnoozedRuns:
    """The runs left alone, each until an instant of the clock."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._until: dict[str, float] = {}

    def hold(self, run_id: str, seconds: float) -> None:
        """Leave this run alone for so long."""
        self._until[run_id] = self._clock.monotonic() + seconds

    def wake(self, run_id: str) -> bool:
        """Leave this one alone no longer; whether it was."""
        return self._until.pop(run_id, None) is not None

    def clear(self) -> None:
        """Leave none alone any longer."""
        self._until.clear()

    def held(self) -> list[str]:
        """The runs that are left alone now."""
        now = self._clock.monotonic()
        self._until = {run_id: until for run_id, until in self._until.items() if until > now}
        return list(self._until)
