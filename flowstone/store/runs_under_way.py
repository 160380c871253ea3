"""Which unfinished run does the same as another one: what `Callers.create` looks up without a database."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flowstone.runs.identity import identity_of, place_of

if TYPE_CHECKING:
    from collections.abc import Collection

    from flowstone.runs.identity import Place
    from flowstone.runs.records import RunRecord
    from flowstone.store.run_log import RunLog

__all__ = ["RunsUnderWay"]


class RunsUnderWay:
    """Unfinished runs by asset and partitions; whatever else tells them apart is looked at when somebody asks."""

    def __init__(self) -> None:
        self._runs: dict[Place, dict[str, RunLog]] = {}

    def add(self, run: RunLog) -> None:
        """A run has begun its life."""
        self._runs.setdefault(place_of(run.created), {})[run.id] = run

    def remove(self, run: RunLog) -> None:
        """A run has finished."""
        place = place_of(run.created)
        known = self._runs[place]
        del known[run.id]
        if not known:
            del self._runs[place]

    def find(self, run: RunRecord, but: Collection[str]) -> str | None:
        """The oldest one that does the same and that nobody asked to cancel; but for these."""
        there = self._runs.get(place_of(run))
        if there is None:
            return None
        wanted = identity_of(run)
        found = [
            known
            for known in there.values()
            if not known.cancelling and known.id not in but and identity_of(known.created) == wanted
        ]
        return min(found, key=lambda known: known.arrival).id if found else None
