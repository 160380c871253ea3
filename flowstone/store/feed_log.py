"""The feed of a store that one process holds: its newest events, numbered from 1.

What is here is what the logs of the runs hold, the same objects. An id is a number, so that nothing has to be
remembered but how many there were: that is what a `file://` store keeps, and what it goes on from after a restart.
"""

from __future__ import annotations

from collections import deque
from itertools import islice
from typing import TYPE_CHECKING, Final

from flowstone.errors import FeedExpired
from flowstone.store.feed import expired

if TYPE_CHECKING:
    from collections.abc import Callable

    from flowstone.runs.automation_events import AutomationEvent
    from flowstone.store.event_log import Entry

__all__ = ["FeedLog"]

_KEPT: Final = 50_000
_AT_A_TIME: Final = 2_000


class FeedLog:
    """The newest events of all runs and automations.

    Attributes:
        count: How many there were: the id of the newest.
        entries: The newest of them, or what says the same.
        watchers: Called when there is another one.
    """

    __slots__ = ("count", "entries", "watchers")

    def __init__(self) -> None:
        self.count = 0
        self.entries: deque[Entry | AutomationEvent] = deque(maxlen=_KEPT)
        self.watchers: dict[object, Callable[[], None]] = {}

    def add(self, entry: Entry | AutomationEvent) -> None:
        """An event was recorded."""
        self.count += 1
        self.entries.append(entry)
        if self.watchers:
            for heard in tuple(self.watchers.values()):
                heard()

    def restore(self, count: int) -> None:
        """Go on with the numbers of a former life, whose events are not kept."""
        self.count = count
        self.entries.clear()

    def after(self, number: int) -> list[tuple[int, Entry | AutomationEvent]]:
        """The next ones with their numbers. Raises `FeedExpired`."""
        if not self.count - len(self.entries) <= number <= self.count:
            raise FeedExpired(expired(number))
        found = list(islice(reversed(self.entries), self.count - number))
        found.reverse()
        return list(enumerate(found[:_AT_A_TIME], number + 1))
