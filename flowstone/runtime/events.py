"""Fan-out of what happens to whoever listens: command line progress, a user interface, telemetry.

Publishing is a direct call that never waits: a subscriber has a bounded buffer, loses its oldest events when it
is slow, and is told how many. Nobody who listens can slow a run.
"""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from flowstone.runs.events import Event

__all__ = ["EventStream", "Events", "StreamStatistics", "Subscription"]

_BUFFER = 10_000


class Subscription:
    """An async iterator of events; ends when the runtime stops.

    Attributes:
        dropped: Events this subscriber was too slow for.
        on_offer: Called when an event has come, or the end.
    """

    def __init__(self, wanted: Callable[[Event], bool], buffer: int = _BUFFER) -> None:
        self.dropped = 0
        self._wanted = wanted
        self._events: deque[Event] = deque()
        self._buffer = buffer
        self._waiter: asyncio.Future[None] | None = None
        self._closed = False
        self.on_offer: Callable[[], None] | None = None

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Event:
        while not self._events:
            if self._closed:
                raise StopAsyncIteration
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        return self._events.popleft()

    def __len__(self) -> int:
        return len(self._events)

    def offer(self, event: Event) -> None:
        """Take an event if it is wanted; the oldest goes if the buffer is full."""
        if self._closed or not self._wanted(event):
            return
        if len(self._events) >= self._buffer:
            self._events.popleft()
            self.dropped += 1
        self._events.append(event)
        self._wake()

    def taken(self) -> list[Event]:
        """What is in the buffer, which is empty afterwards."""
        events = list(self._events)
        self._events.clear()
        return events

    def narrow(self, run_id: str) -> None:
        """Keep and take events of one run only."""
        wanted = self._wanted
        self._wanted = lambda event: event.run_id == run_id and wanted(event)
        self._events = deque(event for event in self._events if event.run_id == run_id)

    def close(self) -> None:
        """End the iteration once the buffer is read."""
        self._closed = True
        self._wake()

    def _wake(self) -> None:
        if self.on_offer is not None:
            self.on_offer()
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


@dataclass(frozen=True, slots=True)
class StreamStatistics:
    """Who listens.

    Attributes:
        subscribers: Open subscriptions.
        buffered: Events waiting in them.
        dropped: Events that open subscriptions were too slow for.
    """

    subscribers: int
    buffered: int
    dropped: int


class EventStream:
    """The subscriptions of one runtime."""

    def __init__(self) -> None:
        self._subscriptions: tuple[Subscription, ...] = ()

    @property
    def heard(self) -> bool:
        """Whether anybody listens; events nobody hears need not be made."""
        return bool(self._subscriptions)

    def publish(self, event: Event) -> None:
        for subscription in self._subscriptions:
            subscription.offer(event)

    @asynccontextmanager
    async def subscribe(
        self, kinds: tuple[str, ...], run_id: str | None = None
    ) -> AsyncIterator[Subscription]:
        """Events of these kinds (`step.failed`, or `step` for all of a step's; none given: every event)."""

        def wanted(event: Event) -> bool:
            if run_id is not None and event.run_id != run_id:
                return False
            kind = event.kind
            return not kinds or kind in kinds or kind.partition(".")[0] in kinds

        subscription = Subscription(wanted)
        self._subscriptions = (*self._subscriptions, subscription)
        try:
            yield subscription
        finally:
            self._subscriptions = tuple(s for s in self._subscriptions if s is not subscription)

    def close(self) -> None:
        """End every subscription."""
        for subscription in self._subscriptions:
            subscription.close()

    def statistics(self) -> StreamStatistics:
        return StreamStatistics(
            subscribers=len(self._subscriptions),
            buffered=sum(len(s) for s in self._subscriptions),
            dropped=sum(s.dropped for s in self._subscriptions),
        )


class Events:
    """The process that shows the stream in the tree. Subscriptions outlive its restarts, not the runtime."""

    def __init__(self, stream: EventStream) -> None:
        self._stream = stream

    async def run(self, started: Callable[[], None]) -> None:
        started()
        await asyncio.get_running_loop().create_future()

    def statistics(self) -> StreamStatistics:
        return self._stream.statistics()
