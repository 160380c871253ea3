"""The stream that keeps an open page as it would be if it were loaded again.

Somebody looks at a page; when something has happened, at most ten times a second, its values are read again, the
blocks that change are rendered, and those that differ from what was sent last are sent. So a page that was away
for a minute is right with its first message, and a slow browser gets the newest state and never a backlog.

All who look at the same address with the same rights share one reading and one rendering, however many they are.

Rejected: to send what happened and have the browser work out what it means. Then two places would have to know what
each event changes on each page, and a gap in the events would leave a page wrong until it is loaded again.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from flowstone.server.changes import Changes

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping

    from flowstone.runtime.runtime import Runtime

__all__ = ["IDLE", "LEAST", "Renderings", "fragments"]

LEAST: Final = 0.1
"""Seconds between two messages to one browser."""

IDLE: Final = 1.0
"""Seconds after which ages and countdowns are rendered anew though nothing happened."""

_SHARE: Final = 25
"""A page is read and sent for one part of so many of the time, however many look at it; the others are for runs."""

_MOST: Final = 0.4  # Seconds between two messages, where one part of the time would make it longer.
_SENDING: Final = 0.0002  # Seconds that a message to one browser takes.


class _Rendering:
    """A page as it was at an instant, and what is sent to those who have seen another one.

    Args:
        at: When it was begun, by the loop's clock.
        blocks: Its blocks that change, by the ids of their elements.
    """

    def __init__(self, at: float, blocks: Mapping[str, str]) -> None:
        self.at = at
        self.blocks = blocks
        self._messages: dict[float, str] = {}

    def message(self, seen: _Rendering | None) -> str:
        """What makes this page of one that was seen; the same text for all who have seen the same one."""
        key = -1.0 if seen is None else seen.at
        if key not in self._messages:
            before: Mapping[str, str] = {} if seen is None else seen.blocks
            changed = {name: html for name, html in self.blocks.items() if before.get(name) != html}
            self._messages[key] = _message(changed)
        return self._messages[key]


def _message(blocks: Mapping[str, str]) -> str:
    if not blocks:
        return ": alive\n\n"
    parts = "".join(
        f'<hx-partial hx-target="#{name}" hx-swap="innerMorph">{html}</hx-partial>'
        for name, html in blocks.items()
    )
    return "".join(f"data: {line}\n" for line in parts.splitlines()) + "\n"


class Renderings:
    """The newest rendering of each address that somebody looks at.

    Args:
        runtime: What the pages are about.

    Attributes:
        changes: What tells those who look that something has happened.
    """

    def __init__(self, runtime: Runtime) -> None:
        self.changes = Changes(runtime)
        self._newest: dict[str, _Rendering] = {}
        self._took: dict[str, float] = {}
        self._locks: dict[str, asyncio.Lock] = {}
        self._watchers: dict[str, int] = {}

    @property
    def watched(self) -> Mapping[str, int]:
        """The addresses that somebody looks at, and how many do."""
        return dict(self._watchers)

    def age(self, address: str) -> float:
        """Seconds since the newest rendering of an address was begun; 0.0 where there is none."""
        newest = self._newest.get(address)
        return 0.0 if newest is None else asyncio.get_running_loop().time() - newest.at

    def pace(self, address: str, least: float) -> float:
        """Seconds between two messages about an address: more where it takes long to read, or many look."""
        work = self._took.get(address, 0.0) + _SENDING * self._watchers.get(address, 0)
        return max(least, min(_MOST, _SHARE * work))

    def enter(self, address: str) -> None:
        """Somebody begins to look at it."""
        self._watchers[address] = self._watchers.get(address, 0) + 1

    def leave(self, address: str) -> None:
        """Somebody looks away; what nobody looks at is forgotten."""
        self._watchers[address] -= 1
        if not self._watchers[address]:
            for kept in (self._watchers, self._newest, self._took, self._locks):
                kept.pop(address, None)

    async def since(
        self, address: str, asked_at: float, render: Callable[[], Awaitable[Mapping[str, str]]]
    ) -> _Rendering:
        """A rendering that was begun at `asked_at` (by the loop's clock) or later.

        Args:
            address: Page, parameters and role: all that a rendering depends on.
            asked_at: The instant of what is to be seen in it.
            render: Makes one.
        """
        async with self._locks.setdefault(address, asyncio.Lock()):
            newest = self._newest.get(address)
            if newest is None or newest.at < asked_at:
                loop = asyncio.get_running_loop()
                begun = loop.time()
                newest = _Rendering(begun, await render())
                if address in self._watchers:
                    self._newest[address] = newest
                    self._took[address] = loop.time() - begun
            return newest


async def fragments(
    renderings: Renderings,
    address: str,
    render: Callable[[], Awaitable[Mapping[str, str]]],
    pace: float = LEAST,
    idle: float = IDLE,
    goes_on: Callable[[], bool] | None = None,
) -> AsyncGenerator[str, None]:
    """Messages with the blocks of one open page: at first all, then those that have changed; ends with the runtime.

    One without blocks says that nothing changed: the connection lives.

    Args:
        renderings: Where those who look at the same find each other.
        address: Page, parameters and role: all that a rendering depends on.
        render: Makes all blocks of the page that change, by the ids of their elements.
        pace: Seconds between two items, at least.
        idle: Seconds after which the blocks are rendered again though nothing was heard of.
        goes_on: Whether the next rendering may have more than the last one though nothing happened. Default: never.
    """
    loop = asyncio.get_running_loop()
    seen: _Rendering | None = None
    renderings.enter(address)
    try:
        async with renderings.changes.heard() as ear:
            while not ear.ended:
                begun = loop.time()
                ear.look()
                newest = await renderings.since(address, begun - pace / 2, render)
                yield newest.message(seen)
                seen = newest
                with suppress(TimeoutError):
                    async with asyncio.timeout(pace if goes_on is not None and goes_on() else idle):
                        await ear.wait()
                await asyncio.sleep(max(0.0, renderings.pace(address, pace) - (loop.time() - begun)))
    finally:
        renderings.leave(address)
