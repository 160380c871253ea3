"""What a listener has in hand: events by run, in order, one call at a time for each run.

    ready     the runs whose next event may be delivered now, who has waited longest first
    blocked   the runs whose next event was delivered in vain, who has waited longest first: only that event is
              held, the rest is read again when it has been delivered or given up
    empty     everything that was read is delivered; as soon as that is on record there may be more to read

Plain state without a clock of its own, so that every order of calls can be tried in a test.
"""

from __future__ import annotations

from collections import deque
from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from flowstone.store.deliveries import Delivery

__all__ = ["Lane", "Lanes"]


class Lane:
    """The events of one run, or of one automation.

    Attributes:
        key: What it is.
        events: Those that were read and are not delivered, in order.
        due: When the first of them may be delivered again (monotonic), if it was in vain before; or None.
        busy: Whether a call about the first one is under way.
    """

    __slots__ = ("busy", "due", "events", "key")

    def __init__(self, key: str) -> None:
        self.key = key
        self.events: deque[Delivery] = deque()
        self.due: float | None = None
        self.busy = False


class Lanes:
    """All that a listener has in hand.

    Attributes:
        held: How many events are held.
    """

    def __init__(self) -> None:
        self.held = 0
        self._lanes: dict[str, Lane] = {}
        self._ready: deque[Lane] = deque()
        self._blocked: dict[str, Lane] = {}

    @property
    def keys(self) -> Collection[str]:
        """The lanes of which something is held, or was a moment ago."""
        return self._lanes.keys()

    @property
    def ready(self) -> int:
        """How many lanes have an event that may be delivered now."""
        return len(self._ready)

    @property
    def blocked(self) -> int:
        """How many lanes wait for another attempt."""
        return len(self._blocked)

    def add(self, deliveries: Iterable[Delivery]) -> None:
        """Take what was read of lanes that are not held."""
        for delivery in deliveries:
            lane = self._lanes.get(delivery.lane)
            if lane is None:
                lane = self._lanes[delivery.lane] = Lane(delivery.lane)
                self._ready.append(lane)
            lane.events.append(delivery)
            self.held += 1

    def next(self) -> Lane | None:
        """A lane whose first event is to be delivered now: a call about it begins."""
        if not self._ready:
            return None
        lane = self._ready.popleft()
        lane.busy = True
        return lane

    def delivered(self, lane: Lane) -> None:
        """Its first event was delivered, or given up; others go first now."""
        lane.busy = False
        lane.due = None
        self._blocked.pop(lane.key, None)
        lane.events.popleft()
        self.held -= 1
        if lane.events:
            self._ready.append(lane)

    def block(self, lane: Lane, due: float) -> None:
        """Its first event was delivered in vain: it is tried again then."""
        first = lane.events[0]
        self.held -= len(lane.events) - 1
        lane.events.clear()
        lane.events.append(replace(first, attempts=first.attempts + 1))
        lane.busy = False
        lane.due = due
        self._blocked[lane.key] = lane

    def release(self, now: float) -> None:
        """What may be tried again by now is ready."""
        for lane in [each for each in self._blocked.values() if each.due is not None and each.due <= now]:
            del self._blocked[lane.key]
            lane.due = None
            self._ready.append(lane)

    def longest_blocked(self) -> Lane | None:
        """The lane that waits for another attempt since before all others."""
        return next(iter(self._blocked.values()), None)

    def next_due(self) -> float | None:
        """When the next one may be tried again."""
        return min((each.due for each in self._blocked.values() if each.due is not None), default=None)

    def drop_empty(self, but: Collection[str]) -> bool:
        """Let go of lanes of which all was delivered, but of these; whether any were: there may be more of them."""
        empty = [key for key, lane in self._lanes.items() if not lane.events and key not in but]
        for key in empty:
            del self._lanes[key]
        return bool(empty)
