"""Fan-out of what happens to whoever listens: command line progress, a user interface, telemetry.

Publishing is a direct call that never waits: a subscriber loses its oldest events when it is slow, and is told how
many. Nobody who listens can slow a run. And nobody who has stopped listening costs anything: a subscription is kept
by whoever reads it and by nothing else.

    publish ──> _Channel: one for each choice of kinds and run; the newest events that fit it, numbered
                   └── Subscription, …: the number of the next event to read

Those who have chosen the same share one channel, so that to publish costs what there are choices, not subscribers.
"""

from __future__ import annotations

import asyncio
import weakref
from collections import deque
from itertools import islice
from typing import TYPE_CHECKING, Final, Self, TypeAlias

from flowstone.actors.affinity import require_loop
from flowstone.actors.waiters import Waiters
from flowstone.assets.automation.event_kinds import exact_kinds
from flowstone.frozen import frozen

if TYPE_CHECKING:
    from collections.abc import Callable

    from flowstone.runs.automation_events import Event

__all__ = ["EventStream", "Events", "StreamStatistics", "Subscription"]

_BUFFER: Final = 10_000
_TRIM: Final = 1_000  # So often a channel looks for what everybody has read.


_Place: TypeAlias = "weakref.ref[Subscription]"
"""A subscription, as long as somebody else keeps it."""

_Choice: TypeAlias = tuple[frozenset[str], str | None]
"""The exact kinds of events, and the run or None for all of them."""


class Subscription:
    """An async iterator of events; ends when the runtime stops. It listens inside of `async with`.

    Attributes:
        choice: The kinds that it receives.
        place: Itself, as it is known to those who do not keep it.
    """

    def __init__(self, stream: EventStream, kinds: frozenset[str], run_id: str | None) -> None:
        self.place: _Place = weakref.ref(self)
        self._stream = stream
        self.choice = kinds, run_id
        self._channel: _Channel | None = None
        self._next = 0  # The number of the event in the channel that is read next.
        self._taken: deque[Event] = deque()  # Read from a channel, not yet given to anybody.
        self._dropped = 0
        self._closed = False
        self._left = False
        self._readers: Waiters[None] = Waiters()
        self._on_offer: Callable[[], None] | None = None

    async def __aenter__(self) -> Self:
        self._stream.add(self)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._stream.remove(self)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Event:
        """The next event.

        Raises:
            WrongLoop: It is another event loop than its runtime's.
            RuntimeError: It does not listen yet: it is read outside of `async with`.
        """
        require_loop(self._stream.loop, "This subscription")
        while True:
            self._take()
            if self._taken:
                return self._taken.popleft()
            if self._closed or self._left:
                raise StopAsyncIteration
            if self._channel is None:
                raise RuntimeError(
                    "It does not listen yet: write `async with runtime.subscribe() as events:` around the loop."
                )
            self._channel.waiting[self.place] = None
            await self._readers.wait()

    def __len__(self) -> int:
        return len(self._taken) + self._unread - self._surplus

    @property
    def dropped(self) -> int:
        """Events this subscriber was too slow for."""
        return self._dropped + self._surplus

    @property
    def ended(self) -> bool:
        """Whether nothing will come any more and all that came was taken."""
        return (self._closed or self._left) and not len(self)

    @property
    def on_offer(self) -> Callable[[], None] | None:
        """Called when an event has come, or the end."""
        return self._on_offer

    @on_offer.setter
    def on_offer(self, call: Callable[[], None] | None) -> None:
        self._on_offer = call
        if self._channel is not None:
            self._channel.waiting[self.place] = None

    def taken(self) -> list[Event]:
        """What is in the buffer, which is empty afterwards."""
        self._take()
        events = list(self._taken)
        self._taken.clear()
        return events

    def narrow(self, run_id: str) -> None:
        """Keep and take events of one run only."""
        self._take()
        self._taken = deque(event for event in self._taken if event.run_id == run_id)
        self.choice = self.choice[0], run_id
        if self._channel is not None:
            self._stream.remove(self)
            self._stream.add(self)

    def close(self) -> None:
        """End the iteration once the buffer is read."""
        self._take()
        self._closed = True
        self.wake()

    def listen_to(self, channel: _Channel | None) -> None:
        """Hear what comes in this channel from now on; without one, the iteration ends once the buffer is read."""
        self._take()
        self._channel = channel
        self._left = channel is None
        self._readers.wake(None)
        self._next = 0 if channel is None else channel.published

    def wake(self) -> bool:
        """An event has come, or the end. Says whether it has to be told of the next one whoever waits."""
        if self._on_offer is not None:
            self._on_offer()
        self._readers.wake(None)
        return self._on_offer is not None

    @property
    def read_up_to(self) -> int:
        """The number of the event in its channel that it needs next."""
        return self._next

    @property
    def _unread(self) -> int:
        return 0 if self._channel is None or self._closed else self._channel.published - self._next

    @property
    def _surplus(self) -> int:
        """How many events more than it may have it would have if none had been dropped since the last look."""
        return max(0, len(self._taken) + self._unread - _BUFFER)

    def _take(self) -> None:
        """Move what is in the channel into the buffer, without what there is no room for."""
        unread, surplus = self._unread, self._surplus
        if not unread or self._channel is None:
            return
        self._dropped += surplus
        for _ in range(min(surplus, len(self._taken))):
            self._taken.popleft()
        self._taken.extend(self._channel.newest(min(unread, _BUFFER)))
        self._next = self._channel.published


class _Channel:
    """The newest events that fit one choice.

    Attributes:
        published: How many there have been: the number of the next one.
        waiting: Those who are to be told of the next one.
    """

    __slots__ = ("_events", "_kinds", "_members", "published", "waiting")

    def __init__(self, kinds: frozenset[str]) -> None:
        self._kinds = kinds
        self._events: deque[Event] = deque(maxlen=_BUFFER)
        self._members: dict[_Place, None] = {}
        self.published = 0
        self.waiting: dict[_Place, None] = {}

    def __len__(self) -> int:
        return len(self._members)

    def join(self, place: _Place) -> None:
        self._members[place] = None

    def leave(self, place: _Place) -> None:
        self._members.pop(place, None)
        self.waiting.pop(place, None)

    def publish(self, event: Event, kind: str) -> None:
        if kind not in self._kinds:
            return
        self._events.append(event)
        self.published += 1
        if self.waiting:
            woken, self.waiting = self.waiting, {}
            for place in woken:
                listener = place()
                if listener is not None and listener.wake():
                    self.waiting[place] = None
        if self.published % _TRIM == 0:
            self._trim()

    def newest(self, count: int) -> list[Event]:
        if count == len(self._events):
            return list(self._events)
        found = list(islice(reversed(self._events), count))
        found.reverse()
        return found

    def _trim(self) -> None:
        """Let go of what everybody has read."""
        needed = [listener.read_up_to for place in self._members if (listener := place()) is not None]
        unread = self.published - min(needed, default=self.published)
        for _ in range(len(self._events) - unread):
            self._events.popleft()


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
        heard: Whether anybody listens; events nobody receives need not be made.
    """

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.heard = False
        self._choices: dict[_Place, _Choice] = {}
        self._channels: dict[_Choice, _Channel] = {}
        self._of_run: dict[str | None, tuple[_Channel, ...]] = {}  # None: of all runs.
        self._maybe_unread = False
        self._closed = False

    @property
    def unread(self) -> bool:
        """Whether somebody who listens has events to read."""
        if self._maybe_unread:
            self._maybe_unread = any(len(each) for each in self._listening())
        return self._maybe_unread

    def publish(self, event: Event) -> None:
        self._maybe_unread = True
        kind = event.exact_kind
        for channel in self._of_run.get(None, ()):
            channel.publish(event, kind)
        for channel in self._of_run.get(event.run_id, ()):
            channel.publish(event, kind)

    def subscribe(self, kinds: tuple[str, ...], run_id: str | None = None) -> Subscription:
        """Events of these kinds, as `exact_kinds` reads them; none given: every event.

        Raises:
            ValueError: There is no such kind.
        """
        return Subscription(self, exact_kinds(kinds), run_id)

    def add(self, subscription: Subscription) -> None:
        """Let it receive what is published from now on, for as long as somebody else keeps it."""
        require_loop(self.loop, "This subscription")
        choice = subscription.choice
        channel = self._channels.get(choice)
        if channel is None:
            channel = self._channels[choice] = _Channel(choice[0])
            self._of_run[choice[1]] = (*self._of_run.get(choice[1], ()), channel)
        subscription.place = weakref.ref(subscription, self.forget)
        channel.join(subscription.place)
        self._choices[subscription.place] = choice
        subscription.listen_to(channel)
        self.heard = True
        self._maybe_unread = True  # It may have left with events unread, and come back.
        if self._closed:
            subscription.close()

    def remove(self, subscription: Subscription) -> None:
        """Let it receive no more."""
        subscription.listen_to(None)
        self.forget(subscription.place)

    def forget(self, gone: _Place) -> None:
        """It has left, or has been dropped by whoever kept it."""
        choice = self._choices.pop(gone, None)
        if choice is None:
            return
        channel = self._channels[choice]
        channel.leave(gone)
        if not channel:
            del self._channels[choice]
            left = tuple(each for each in self._of_run[choice[1]] if each is not channel)
            self._of_run[choice[1]] = left
            if not left:
                del self._of_run[choice[1]]
        self.heard = bool(self._choices)

    def _listening(self) -> list[Subscription]:
        return [found for each in self._choices if (found := each()) is not None]

    def close(self) -> None:
        """End every subscription, also those that come later."""
        self._closed = True
        for subscription in self._listening():
            subscription.close()

    def statistics(self) -> StreamStatistics:
        listening = self._listening()
        return StreamStatistics(
            subscribers=len(listening),
            buffered=sum(len(each) for each in listening),
            dropped=sum(each.dropped for each in listening),
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
