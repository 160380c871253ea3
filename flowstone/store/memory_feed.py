"""The feed where one process holds the store: what is added to its log is there at once."""

from __future__ import annotations

from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

from flowstone.runs.records import Materialization
from flowstone.store.event_log import event_of
from flowstone.store.feed import Feed, FeedEntry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from flowstone.runs.automation_events import AutomationEvent, Event
    from flowstone.store.event_log import Entry
    from flowstone.store.history import History

__all__ = ["MemoryFeed"]


class MemoryFeed(Feed):
    """The feed of a `MemoryStore`, or of a store that is one.

    Args:
        history: The state, now.
    """

    def __init__(self, history: Callable[[], History]) -> None:
        self._history = history

    async def position(self) -> int:
        return self._history().feed.count

    async def read(self, after: int) -> Sequence[FeedEntry]:
        history = self._history()
        return [_entry(history, number, entry) for number, entry in history.feed.after(after)]

    @contextmanager
    def watch(self, heard: Callable[[], None]) -> Iterator[None]:
        mark = object()
        watchers = self._history().feed.watchers
        watchers[mark] = heard
        try:
            yield
        finally:
            watchers.pop(mark, None)


def _entry(history: History, number: int, entry: Entry | AutomationEvent) -> FeedEntry:
    if isinstance(entry, tuple):
        return FeedEntry(number, "step.started", entry[1], entry[2], partial(event_of, entry))
    if isinstance(entry, Materialization):
        kind = f"step.{entry.status.value}"
        return FeedEntry(number, kind, entry.run_id, entry.asset, partial(event_of, entry))
    event: Event = entry
    log = history.find(event.run_id) if event.kind.startswith("run.") else None
    beside = () if log is None else log.request.beside
    return FeedEntry(number, event.exact_kind, event.run_id, event.asset, lambda: event, beside)
