"""What has happened on any node, in one order, to be followed from any point: what `runtime.feed` gives.

A reader asks the store for what comes after the last event that it gave. It has no buffer that could overflow: one
that is slow, or that was away, reads what is on record, for as long as that is kept.
"""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import ExitStack
from typing import TYPE_CHECKING, Self

from flowstone.actors.affinity import require_loop
from flowstone.assets.automation.event_kinds import exact_kinds

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from flowstone.store.feed import Feed, FeedEntry

__all__ = ["FeedReader", "FeedReaders"]


class FeedReader:
    """An async iterator of `FeedEntry`; ends when the runtime stops. It follows the feed inside of `async with`."""

    def __init__(
        self,
        readers: FeedReaders,
        kinds: Iterable[str],
        *,
        after: int | None,
        run_id: str | None,
        asset: str | None,
    ) -> None:
        self._readers = readers
        self._kinds = exact_kinds(kinds, recorded=True)
        self._run_id = run_id
        self._asset = asset
        self._from = after
        self._read_to: int | None = None
        self._given: int | None = None
        self._page: deque[FeedEntry] = deque()
        self._fresh = asyncio.Event()
        self._watching = ExitStack()

    async def __aenter__(self) -> Self:
        """Begin to follow.

        Raises:
            FeedExpired: The feed does not reach back to the id `after`, or has never had it.
            StoreUnavailable: The store does not answer.
            WrongLoop: It is another event loop than its runtime's.
        """
        require_loop(self._readers.loop, "This feed")
        self._watching.enter_context(self._readers.feed.watch(self._fresh.set))
        self._watching.callback(self._readers.open.pop, self, None)
        self._readers.open[self] = None
        try:
            if self._from is None:
                self._given = self._read_to = await self._readers.feed.position()
            else:
                self._given = self._read_to = self._from
                await self._turn_page()
        except BaseException:
            self._watching.close()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        self._watching.close()
        self._given = self.position
        self._page.clear()
        self._read_to = None
        self._fresh.set()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> FeedEntry:
        """The next event that fits.

        Raises:
            FeedExpired: The feed is not kept as far back as this reader is behind.
            StoreUnavailable: The store does not answer. Ask again, or go on later after `position`.
            RuntimeError: It is read outside of `async with`.
        """
        require_loop(self._readers.loop, "This feed")
        while not self._page:
            if self._readers.closed:
                raise StopAsyncIteration
            if self._read_to is None:
                raise RuntimeError(
                    "It does not follow the feed: write `async with runtime.feed() as entries:` around the loop."
                )
            self._fresh.clear()
            if not await self._turn_page() and not self._readers.closed:
                await self._fresh.wait()
        entry = self._page.popleft()
        self._given = entry.id
        return entry

    async def batch(self) -> Sequence[FeedEntry]:
        """The next events that fit: as many as are at hand, at least one; none once the runtime has stopped.

        Raises as `anext` does.
        """
        try:
            first = await anext(self)
        except StopAsyncIteration:
            return ()
        found = [first, *self._page]
        self._page.clear()
        self._given = found[-1].id
        return found

    @property
    def position(self) -> int:
        """The id up to which everything that fits has been given: `runtime.feed(after=…)` goes on after it.

        It also moves past events that do not fit, so keep it from time to time where few do.
        """
        if self._read_to is not None and not self._page:
            return self._read_to
        if self._given is None:
            raise RuntimeError(
                "It has no position yet: ask inside of `async with runtime.feed() as entries:`."
            )
        return self._given

    def wake(self) -> None:
        """The runtime stops."""
        self._fresh.set()

    async def _turn_page(self) -> bool:
        """Read on; whether there was anything, of whatever kind."""
        assert self._read_to is not None
        page = await self._readers.feed.read(self._read_to)
        if not page or self._read_to is None:
            return False
        self._read_to = page[-1].id
        self._page.extend(entry for entry in page if self._fits(entry))
        return True

    def _fits(self, entry: FeedEntry) -> bool:
        return (
            entry.kind in self._kinds
            and self._run_id in {None, entry.run_id}
            and (self._asset is None or entry.is_about(self._asset))
        )


class FeedReaders:
    """Who reads the feed through one runtime.

    Attributes:
        loop: The event loop of the runtime.
        feed: The feed of its store.
        open: Those who read.
        closed: Whether the runtime has stopped.
    """

    def __init__(self, feed: Feed) -> None:
        self.loop = asyncio.get_running_loop()
        self.feed = feed
        self.open: dict[FeedReader, None] = {}
        self.closed = False

    def close(self) -> None:
        """End every reader."""
        self.closed = True
        for reader in self.open:
            reader.wake()
