"""The port to the feed: every recorded event of a store, whatever run or node it is of, in one order.

Each event has an *id*, and ids increase. Whoever has read up to one goes on after it, in another process and after
a restart as well, and gets every event once. The order is the store's; within a run it is that of recording.

A feed is kept for a time, and not for ever: an id that it does not reach back to raises `FeedExpired`, so that
nobody takes a gap for silence.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence
    from contextlib import AbstractContextManager

    from flowstone.runs.automation_events import Event

__all__ = ["Feed", "FeedEntry", "expired"]


class FeedEntry:
    """An event and its place in the feed.

    Attributes:
        id: Its id: `runtime.feed(after=id)` goes on after it.
        kind: What it is told apart by: its kind, and of the end of a run its outcome (`run.failed`).
        run_id: Its run; empty if it belongs to none.
        asset: The asset it is about; empty if it is about none.
        beside: What else it is about: of what happens to a run the other assets that this was asked for.
    """

    __slots__ = ("_event", "_make", "asset", "beside", "id", "kind", "run_id")

    def __init__(
        self,
        id: int,  # noqa: A002 - its name for whoever reads it
        kind: str,
        run_id: str,
        asset: str,
        make: Callable[[], Event],
        beside: Collection[str] = (),
    ) -> None:
        self.id = id
        self.kind = kind
        self.run_id = run_id
        self.asset = asset
        self.beside = beside
        self._make: Callable[[], Event] | None = make
        self._event: Event | None = None

    @property
    def event(self) -> Event:
        """The event. It is made when somebody looks at it: most who read a feed want a few of its kinds."""
        if self._event is None:
            assert self._make is not None
            self._event, self._make = self._make(), None
        return self._event

    def is_about(self, asset: str) -> bool:
        """Whether the event is about an asset, alone or beside others."""
        return asset == self.asset or asset in self.beside

    def __repr__(self) -> str:
        return f"FeedEntry({self.id}, {self.event!r})"


class Feed(Protocol):
    """The feed of an open store. Calls may raise `StoreUnavailable`; each is safe to repeat."""

    async def position(self) -> int:
        """The id after which comes whatever is recorded from now on; all up to it can be read from the store."""

    async def read(self, after: int) -> Sequence[FeedEntry]:
        """The next events after an id, as many as there are or some thousand; none if there are no more yet.

        Raises:
            FeedExpired: The feed does not reach back to this id, or has never had it.
        """

    def watch(self, heard: Callable[[], None]) -> AbstractContextManager[None]:
        """Have `heard` called on this loop when there may be something to read.

        Within half a second where several processes share the store. While nobody watches, nothing looks.
        """


def expired(after: int) -> str:
    """What is wrong with an id that is not reached any more."""
    return f"the feed does not reach back to id {after}: load what you show again, and follow it from now on"
