"""Everything that happens, read once for all who follow it.

Those who follow at the head of the feed share one reader and one encoding of each event: whoever finds that there
is nothing new reads on, for all, and the others wait for that. The newest events are kept, so that one who was slow
for a moment goes on; one who is further behind reads on its own, from what the store has, until it has caught up.
So a thousand who follow cost the store what one does, and nothing is left out for any of them.

What they share belongs to those who follow at the same time, and goes with the last of them: who comes after that
begins with nothing, not with what another one has half taken down.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_right
from contextlib import AsyncExitStack, aclosing, asynccontextmanager, suppress
from typing import TYPE_CHECKING, Final

from flowstone.errors import FeedExpired, StoreUnavailable
from flowstone.frozen import frozen
from flowstone.server.api.streams import message
from flowstone.wire.events import EventModel

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Sequence

    from flowstone.runtime.runtime import Runtime
    from flowstone.runtime.services.feed import FeedReader
    from flowstone.store.feed import FeedEntry

__all__ = ["EventFeed", "Wanted"]

_KEPT: Final = 2_000
_PAUSE: Final = 1.0
"""Seconds between two tries to reach a store that does not answer."""

_LEAST: Final = 0.05
"""Seconds between two messages to one who follows: what happens meanwhile is one message."""

_ALIVE: Final = 15.0
"""Seconds after which who follows is told how far it is though there is nothing for it: what is in between may take
silence for an end, and who comes back is to begin at a place that the feed still has."""


@frozen
class Wanted:
    """Which events somebody follows.

    Attributes:
        kinds: Exact kinds.
        run_id: Of this run alone; None: of any.
        asset: About this asset alone; None: about any.
        records: Whether the end of a step comes with its record.
    """

    kinds: frozenset[str]
    run_id: str | None = None
    asset: str | None = None
    records: bool = False

    def fits(self, entry: FeedEntry) -> bool:
        """Whether it is one of them."""
        return (
            entry.kind in self.kinds
            and self.run_id in {None, entry.run_id}
            and (self.asset is None or entry.is_about(self.asset))
        )


class _Kept:
    """An event, encoded when the first one wants it."""

    __slots__ = ("_encoded", "_with_records", "entry")

    def __init__(self, entry: FeedEntry) -> None:
        self.entry = entry
        self._encoded: bytes | None = None
        self._with_records: bytes | None = None

    def encoded(self, *, records: bool) -> bytes:
        """As it is sent, with the records of steps that have ended or without."""
        if records:
            if self._with_records is None:
                self._with_records = _encoded(self.entry, records=True)
            return self._with_records
        if self._encoded is None:
            self._encoded = _encoded(self.entry, records=False)
        return self._encoded


def _encoded(entry: FeedEntry, *, records: bool) -> bytes:
    shown = EventModel.of(entry.event, entry.id, records=records, beside=entry.beside)
    return message(shown.id, shown.text(), shown.kind)


class _Head:
    """The newest events, which those who follow at the same time read for each other.

    Args:
        runtime: Whose.

    Attributes:
        followers: How many they are.
        expired: Whether it is too far behind to be read on.
    """

    def __init__(self, runtime: Runtime) -> None:
        self.followers = 0
        self.expired = False
        self._runtime = runtime
        self._reading = AsyncExitStack()
        self._reader: FeedReader | None = None
        self._reads = False
        self._turn_over = asyncio.Event()
        self._kept: list[_Kept] = []
        self._from = 0  # All after this id are kept,
        self._to = 0  # up to this one.
        self._ended = False

    def is_known(self, place: int) -> bool:
        """Whether nothing has been read that comes after an id."""
        return place >= self._to

    async def after(self, place: int) -> Sequence[_Kept] | None:
        """Wait for what comes after an id, then all that is kept of it: at least one.

        None of them once the runtime has stopped; None where what comes first is not kept.

        Raises:
            FeedExpired: It is too far behind.
        """
        while not self._ended:
            if self._reader is not None and place < self._from:
                return None
            if place < self._to:
                return self._kept[bisect_right(self._kept, place, key=lambda each: each.entry.id) :]
            if self._reads:
                await self._turn_over.wait()
            else:
                await self._take_turn()
        return ()

    async def _take_turn(self) -> None:
        """Read on for all. One who goes away meanwhile leaves the turn to another one."""
        self._reads = True
        try:
            await self._read_on()
        except StoreUnavailable:
            await asyncio.sleep(_PAUSE)
        except FeedExpired:
            self.expired = True
            raise
        finally:
            self._reads = False
            self._turn_over.set()
            self._turn_over = asyncio.Event()

    async def _read_on(self) -> None:
        if self._reader is None:
            self._reader = await self._reading.enter_async_context(self._runtime.feed())
            self._from = self._to = self._reader.position
            return
        entries = await self._reader.batch()
        if not entries:
            self._ended = True
            return
        self._kept += map(_Kept, entries)
        self._to = entries[-1].id
        if len(self._kept) > 2 * _KEPT:
            self._from = self._kept[-_KEPT - 1].entry.id
            del self._kept[:-_KEPT]

    async def aclose(self) -> None:
        """Stop reading."""
        await self._reading.aclose()


class EventFeed:
    """The feed of one runtime, for all who follow it over HTTP.

    Args:
        runtime: The runtime.
    """

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._head: _Head | None = None

    @property
    def following(self) -> int:
        """How many follow it."""
        return 0 if self._head is None else self._head.followers

    async def position(self, after: int | None) -> int:
        """Where somebody begins who knows all up to an id; None: who wants what happens from now on.

        Raises:
            FeedExpired: The feed does not reach back to that id.
        """
        async with self._runtime.feed(after=after) as reader:
            return reader.position if after is None else after

    async def follow(self, wanted: Wanted, after: int) -> AsyncGenerator[bytes, None]:
        """Messages with what happens after an id; ends with the runtime."""
        yield f"retry: 2000\nid: {after}\n\n".encode()
        with suppress(FeedExpired):  # Who comes back is told so.
            async with self._joined() as head, aclosing(self._messages(head, wanted, after)) as messages:
                async for each in messages:
                    yield each

    @asynccontextmanager
    async def _joined(self) -> AsyncIterator[_Head]:
        """Be one of those who follow."""
        head = self._head = self._head or _Head(self._runtime)
        head.followers += 1
        try:
            yield head
        finally:
            head.followers -= 1
            if self._head is head and (head.expired or not head.followers):
                self._head = None  # Who comes from now on does not share it.
            if not head.followers:
                await head.aclose()

    async def _messages(self, head: _Head, wanted: Wanted, after: int) -> AsyncGenerator[bytes, None]:
        time = asyncio.get_running_loop().time
        said = time()
        while True:
            begun = time()
            fresh: Sequence[_Kept] = ()
            with suppress(TimeoutError):
                async with asyncio.timeout_at(said + _ALIVE):
                    fresh = await self._next(head, after)
                    if not fresh:
                        return
            if fresh:
                after = fresh[-1].entry.id
            text = b"".join(each.encoded(records=wanted.records) for each in fresh if wanted.fits(each.entry))
            if text or not fresh or time() >= said + _ALIVE:
                yield text or f"id: {after}\n\n".encode()
                said = time()
            pause = _LEAST - (time() - begun) if head.is_known(after) else 0.0
            await asyncio.sleep(max(0.0, pause))

    async def _next(self, head: _Head, after: int) -> Sequence[_Kept]:
        """Wait for what comes after an id: at least one, or none once the runtime has stopped."""
        while True:
            kept = await head.after(after)
            if kept is not None:
                return kept
            try:
                async with self._runtime.feed(after=after) as reader:
                    return [_Kept(entry) for entry in await reader.batch()]
            except StoreUnavailable:
                await asyncio.sleep(_PAUSE)
