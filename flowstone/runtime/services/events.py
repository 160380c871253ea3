"""Fan-out of what happens to whoever listens: command line progress, a user interface, telemetry.

Publishing is a direct call that never waits: a subscriber has a bounded buffer, loses its oldest events when it
is slow, and is told how many. Nobody who listens can slow a run. And nobody who has stopped listening costs
anything: a subscription is kept by whoever reads it and by nothing else.
"""

from __future__ import annotations

import asyncio
import weakref
from collections import deque
from typing import TYPE_CHECKING, Final, Self, get_args

from flowstone.actors.affinity import require_loop
from flowstone.assets.suggest import did_you_mean
from flowstone.frozen import frozen
from flowstone.runs.events import Event

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["EventStream", "Events", "StreamStatistics", "Subscription"]

_BUFFER = 10_000
_NAMES: Final = tuple(each.kind for each in get_args(Event))
_KINDS: Final = (*dict.fromkeys(name.partition(".")[0] for name in _NAMES), *_NAMES)


class Subscription:
    """An async iterator of events; ends when the runtime stops. It listens inside of `async with`.

    Attributes:
        dropped: Events this subscriber was too slow for.
        on_offer: Called when an event has come, or the end.
    """

    def __init__(self, stream: EventStream, wanted: Callable[[Event], bool], buffer: int = _BUFFER) -> None:
        self.dropped = 0
        self._stream = stream
        self._wanted = wanted
        self._events: deque[Event] = deque()
        self._buffer = buffer
        self._waiter: asyncio.Future[None] | None = None
        self._closed = False
        self.on_offer: Callable[[], None] | None = None

    async def __aenter__(self) -> Self:
        self._stream.add(self)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._stream.remove(self)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Event:
        """The next event. Raises `WrongLoop` on another event loop than its runtime's."""
        require_loop(self._stream.loop, "This subscription")
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


@frozen
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
    """The subscriptions of one runtime, which belong to the loop it was made on.

    Attributes:
        heard: Whether anybody listens; events nobody hears need not be made.
    """

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self._subscriptions: tuple[weakref.ref[Subscription], ...] = ()
        self.heard = False

    @property
    def unread(self) -> bool:
        """Whether somebody who listens has events to read."""
        return any(len(each) for each in self._listening())

    def publish(self, event: Event) -> None:
        for subscription in self._listening():
            subscription.offer(event)

    def subscribe(self, kinds: tuple[str, ...], run_id: str | None = None) -> Subscription:
        """Events of these kinds (`step.failed`, or `step` for all of a step's; none given: every event).

        Raises:
            ValueError: There is no such kind.
        """
        for each in kinds:
            if each not in _KINDS:
                raise ValueError(f"There are no events of kind {each!r:.100}.{_remedy(each)}")

        def wanted(event: Event) -> bool:
            if run_id is not None and event.run_id != run_id:
                return False
            kind = event.kind
            return not kinds or kind in kinds or kind.partition(".")[0] in kinds

        return Subscription(self, wanted)

    def add(self, subscription: Subscription) -> None:
        """Let it hear what is published from now on, for as long as somebody else keeps it."""
        require_loop(self.loop, "This subscription")
        self._subscriptions = (*self._subscriptions, weakref.ref(subscription, self._forget))
        self.heard = True

    def remove(self, subscription: Subscription) -> None:
        """Let it hear no more."""
        self._subscriptions = tuple(each for each in self._subscriptions if each() is not subscription)
        self.heard = bool(self._subscriptions)

    def _forget(self, gone: weakref.ref[Subscription]) -> None:
        self._subscriptions = tuple(each for each in self._subscriptions if each is not gone)
        self.heard = bool(self._subscriptions)

    def _listening(self) -> list[Subscription]:
        return [found for each in self._subscriptions if (found := each()) is not None]

    def close(self) -> None:
        """End every subscription."""
        for subscription in self._listening():
            subscription.close()

    def statistics(self) -> StreamStatistics:
        listening = self._listening()
        return StreamStatistics(
            subscribers=len(listening),
            buffered=sum(len(each) for each in listening),
            dropped=sum(each.dropped for each in listening),
        )


def _remedy(kind: object) -> str:
    """What to pass instead of what is no kind. There are no patterns: the first word has all of its own."""
    text = str(kind)
    family = text.split(".", 1)[0].rstrip("*")
    if "*" in text and not family:
        return " Pass nothing to get every event."
    if "*" in text and family in _KINDS:
        return f" Kinds are not patterns: pass {family!r} to get all events of a {family}."
    return did_you_mean(text, _KINDS) or f" There are: {', '.join(_KINDS)}."


class Events:
    """The process that shows the stream in the tree. Subscriptions outlive its restarts, not the runtime."""

    def __init__(self, stream: EventStream) -> None:
        self._stream = stream

    async def run(self, started: Callable[[], None]) -> None:
        started()
        await asyncio.get_running_loop().create_future()

    def statistics(self) -> StreamStatistics:
        return self._stream.statistics()
