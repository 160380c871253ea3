"""The assets of a pipeline whose freshness is watched: what is known of each, and when the next one comes of age.

What is known is what their records say, and how long that has been so. That is counted by the monotonic clock, so
that a clock of the wall that is set back delays nothing; one that is set on makes them older.
"""

from __future__ import annotations

import heapq
from itertools import count
from typing import TYPE_CHECKING, Final

from flowstone.assets.automation.freshness_policy import FreshnessPolicy
from flowstone.runs.asset_freshness import (
    FreshnessRecord,
    aged,
    known_too,
    least_age,
    next_bound,
    not_of_the_future,
    renewed,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import datetime

    from flowstone.actors import Clock
    from flowstone.assets.snapshot import Snapshot
    from flowstone.runs.asset_freshness import Aged, NewestSuccess
    from flowstone.runs.automation import AutomationRecord

__all__ = ["WatchedAsset", "WatchedAssets", "watched_assets"]

_NOTICED: Final = 0.05  # Seconds by which the clock has been set on.


def watched_assets(snapshot: Snapshot) -> Mapping[str, frozenset[str]]:
    """The assets that are to be fresh, by pipeline."""
    found: dict[str, set[str]] = {}
    for pipeline, defined in snapshot.automations.values():
        if isinstance(defined, FreshnessPolicy):
            found.setdefault(pipeline, set()).add(defined.asset)
    return {pipeline: frozenset(assets) for pipeline, assets in found.items()}


class WatchedAsset:
    """One asset.

    Attributes:
        asset: Its name.
        record: Its record, as it was read or written last.
        freshness: What that says, or more, if there was a success that has changed nothing worth a record.
        is_corrected: Whether it says when its age begins, and that was in the future by now.
        entry: The number of what it is planned for.
    """

    __slots__ = ("_born", "_clock", "asset", "entry", "freshness", "is_corrected", "record")

    def __init__(self, asset: str, record: AutomationRecord, clock: Clock) -> None:
        self._clock = clock
        self.asset = asset
        self.record = record
        now = clock.now()
        recorded = FreshnessRecord.read(record.cursor)
        self.freshness = not_of_the_future(recorded, now)
        self.is_corrected = self.freshness is not recorded
        self.entry = 0
        self._born = 0.0
        self._count_from(now, clock.monotonic())

    def _count_from(self, now: datetime, monotonic: float) -> None:
        age = (now - self.freshness.begins).total_seconds()
        self._born = monotonic - max(age, least_age(self.freshness), 0.0)

    @property
    def age(self) -> float:
        """How old its value is, in seconds."""
        return self._clock.monotonic() - self._born

    def grow_older(self) -> None:
        """Take notice of a clock that was set on."""
        by_clock = (self._clock.now() - self.freshness.begins).total_seconds()
        self._born = min(self._born, self._clock.monotonic() - by_clock)

    def succeeded(self, success: NewestSuccess) -> None:
        """There was a success, of which nothing was known."""
        now = self._clock.now()
        freshness = renewed(self.freshness, success, now, self.age)
        if freshness is not self.freshness:
            self.freshness = freshness
            self._count_from(now, self._clock.monotonic())

    def compare(self, newest: NewestSuccess | None) -> None:
        """The store has this as the newest success."""
        if newest is not None and not known_too(self.freshness, newest):
            self.succeeded(newest)

    def look(self) -> Aged:
        """What is to be on record of it at this instant, and to be announced."""
        age, bound = self.age, next_bound(self.freshness)
        if bound is not None and self._born + bound <= self._clock.monotonic():
            age = max(age, bound)  # By as much as that is rounded it may be the less.
        return aged(self.freshness, age)

    def recorded(self, record: AutomationRecord) -> None:
        """This is on record now."""
        self.record = record
        self.freshness = FreshnessRecord.read(record.cursor)
        self.is_corrected = False

    @property
    def due(self) -> float | None:
        """When there is more to announce of it, by the monotonic clock; None: never, or not while it is paused."""
        bound = None if self.record.paused else next_bound(self.freshness)
        return None if bound is None else self._born + bound


class WatchedAssets:
    """All of them, and a heap of what is due.

    Args:
        clock: By which they age.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._known: dict[str, WatchedAsset] = {}
        self._due: list[tuple[float, int, WatchedAsset]] = []
        self._numbers = count(1)
        self._ahead = self._clock_ahead()

    def add(self, watched: WatchedAsset) -> None:
        self._known[watched.asset] = watched
        self.plan(watched)

    def get(self, asset: str) -> WatchedAsset | None:
        return self._known.get(asset)

    def plan(self, watched: WatchedAsset) -> None:
        """Have it come up when it is due, as that is now."""
        watched.entry = next(self._numbers)
        due = watched.due
        if due is not None:
            heapq.heappush(self._due, (due, watched.entry, watched))
        if len(self._due) > 2 * len(self._known) + 10:  # What was planned otherwise since.
            self._due = [each for each in self._due if each[1] == each[2].entry]
            heapq.heapify(self._due)

    def take_due(self) -> Iterator[WatchedAsset]:
        """Those that are due, each of which is to be planned again."""
        now = self._clock.monotonic()
        while self._due and self._due[0][0] <= now:
            _, entry, watched = heapq.heappop(self._due)
            if entry == watched.entry:
                yield watched

    @property
    def next_due(self) -> float | None:
        """Seconds until the next one is due, or None."""
        while self._due and self._due[0][1] != self._due[0][2].entry:
            heapq.heappop(self._due)
        return max(self._due[0][0] - self._clock.monotonic(), 0.0) if self._due else None

    def notice_clock(self) -> None:
        """Have all of them older if the clock was set on since."""
        ahead = self._clock_ahead()
        if ahead > self._ahead + _NOTICED:
            for watched in self._known.values():
                watched.grow_older()
                self.plan(watched)
            self._ahead = ahead
        self._ahead = min(self._ahead, ahead)

    def _clock_ahead(self) -> float:
        return self._clock.now().timestamp() - self._clock.monotonic()
