"""Everything that happens, read once for all who follow it.

Those who follow at the head of the feed share one reader and one encoding of each event: whoever finds that there
is nothing new reads on, for all, and the others wait for that. The newest events are kept, so that one who was slow
for a moment goes on; one who is further behind reads on its own, from what the store has, until it has caught up.
So a thousand who follow cost the store what one does, and nothing is left out for any of them.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_right
from contextlib import AsyncExitStack, aclosing
from typing import TYPE_CHECKING, Final

from flowstone.errors import FeedExpired, StoreUnavailable
from flowstone.frozen import frozen
from flowstone.server.api.streams import message
from flowstone.wire.events import EventModel

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence

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
"""Seconds after which who follows is told that there is nothing: what is in between may take silence for an end."""


@frozen
class Wanted:
    """Which events somebody follows.

    Attributes:
        kinds: Exact kinds.
        run_id: Of this run alone; None: of any.
        asset: About this asset alone; None: about any.
    """

    kinds: frozenset[str]
    run_id: str | None = None
    asset: str | None = None

    def fits(self, entry: FeedEntry) -> bool:
        """Whether it is one of them."""
        return (
            entry.kind in self.kinds
            and self.run_id in {None, entry.run_id}
            and self.asset in {None, entry.asset}
        )


class _Kept:
    """An event, encoded when the first one wants it."""

    __slots__ = ("_encoded", "entry")

    def __init__(self, entry: FeedEntry) -> None:
        self.entry = entry
        self._encoded: bytes | None = None

    @property
    def encoded(self) -> bytes:
        if self._encoded is None:
            shown = EventModel.of(self.entry)
            self._encoded = message(shown.id, shown.model_dump_json(exclude_none=True), shown.kind)
        return self._encoded


class EventFeed:
    """The feed of one runtime, for all who follow it over HTTP.

    Args:
        runtime: The runtime.

    Attributes:
        following: How many follow it.
    """

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._turn = asyncio.Lock()
        self._reader: FeedReader | None = None
        self._reading = AsyncExitStack()
        self.following = 0
        self._kept: list[_Kept] = []
        self._from = 0  # All after this id are kept,
        self._to = 0  # up to this one.

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
        self.following += 1
        try:
            async with aclosing(self._messages(wanted, after)) as messages:
                async for each in messages:
                    yield each
        except FeedExpired:
            return  # Who comes back is told so.
        finally:
            self.following -= 1
            if not self.following:
                await self._rest()

    async def _messages(self, wanted: Wanted, after: int) -> AsyncGenerator[bytes, None]:
        while True:
            if after < self._from:
                async with aclosing(self._behind(wanted, after)) as behind:
                    async for place, text in behind:
                        after = place
                        if text:
                            yield text
                        if after >= self._from:
                            break
                    else:
                        return
            begun = asyncio.get_running_loop().time()
            if not await self._heard(after):
                return
            if after < self._from:
                continue  # Who was the first to follow began to read for all after what it waits for.
            fresh = self._after(after)
            after = max(after, self._to)
            text = b"".join(each.encoded for each in fresh if wanted.fits(each.entry))
            if text or not fresh:
                yield text or f"id: {after}\n\n".encode()
            await asyncio.sleep(max(0.0, _LEAST - (asyncio.get_running_loop().time() - begun)))

    def _after(self, position: int) -> Sequence[_Kept]:
        return self._kept[bisect_right(self._kept, position, key=lambda each: each.entry.id) :]

    async def _behind(self, wanted: Wanted, after: int) -> AsyncGenerator[tuple[int, bytes], None]:
        """What happened after an id, read from the store: up to where, and the messages."""
        async with self._runtime.feed(after=after) as reader:
            while entries := await reader.batch():
                fitting = (_Kept(entry).encoded for entry in entries if wanted.fits(entry))
                yield entries[-1].id, b"".join(fitting)

    async def _heard(self, after: int) -> bool:
        """Wait for something after an id, as long as silence is bearable; False once the runtime has stopped."""
        try:
            async with asyncio.timeout(_ALIVE), self._turn:
                return self._to > after or await self._read_on()
        except TimeoutError:
            return True

    async def _read_on(self) -> bool:
        """Read what comes next, for all; False once the runtime has stopped."""
        while True:
            try:
                if self._reader is None:
                    self._reader = await self._reading.enter_async_context(self._runtime.feed())
                    self._kept = []
                    self._from = self._to = self._reader.position
                    return True
                entries = await self._reader.batch()
            except StoreUnavailable:
                await asyncio.sleep(_PAUSE)
                continue
            except FeedExpired:
                await self._rest()
                raise
            self._kept += map(_Kept, entries)
            if entries:
                self._to = entries[-1].id
            if len(self._kept) > 2 * _KEPT:
                self._from = self._kept[-_KEPT - 1].entry.id
                del self._kept[:-_KEPT]
            return bool(entries)

    async def _rest(self) -> None:
        """Nobody follows: nothing is read, and nothing is kept."""
        self._reader = None
        self._kept = []
        await self._reading.aclose()
        self._reading = AsyncExitStack()
