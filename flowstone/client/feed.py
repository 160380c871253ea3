"""What happens, followed: one stream of events over as many connections as it takes.

A connection that is cut, or says nothing for longer than a server does, is made again, and goes on after the last
event that was given. So none is left out and none comes twice. What cannot be made good is raised: `FeedExpired`
where the server does not reach back so far any more, `AccessDenied` where the token was revoked.
"""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any, Final, Self

from pydantic import ValidationError

from flowstone.assets.automation.event_kinds import exact_kinds
from flowstone.backoff import Backoff
from flowstone.client.messages import messages
from flowstone.client.transport import TRIES
from flowstone.errors import FlowstoneError, RuntimeStopping, ServerUnavailable, StoreUnavailable
from flowstone.store.feed import FeedEntry
from flowstone.wire.event_records import event_of
from flowstone.wire.events import EventModel

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable
    from random import Random

    from flowstone.client.messages import Message
    from flowstone.client.transport import Transport
    from flowstone.runs.automation_events import Event

__all__ = ["AWAY", "Patience", "RemoteFeed"]

AWAY: Final = (ServerUnavailable, StoreUnavailable, RuntimeStopping)
"""What a server is asked again after: it cannot be reached, its store does not answer, or it is about to stop."""

_FIRST_PAUSE: Final = 0.1
_LONGEST_PAUSE: Final = 5.0


class Patience:
    """How long a server is tried again that cannot be reached, or does not answer for now.

    Args:
        seconds: For how long, since it was last reached.
        random: Source of the jitter of pauses.
    """

    def __init__(self, seconds: float, random: Random) -> None:
        self._seconds = seconds
        self._backoff = Backoff(_FIRST_PAUSE, _LONGEST_PAUSE, random)
        self._since: float | None = None
        self._before = 0  # Tries before it was reached for the first time.
        self._known = False

    def reached(self) -> None:
        """It was reached."""
        self._known = True
        self._since = None
        self._backoff.reset()

    async def rest(self, error: FlowstoneError) -> None:
        """Wait before the next try; raises the error once there was none that succeeded for too long.

        One that was never reached is tried as often as for any other call: the address may be wrong.
        """
        self._before += not self._known
        if self._before >= TRIES:
            raise error
        now = asyncio.get_running_loop().time()
        self._since = now if self._since is None else self._since
        if now - self._since >= self._seconds:
            raise error
        await asyncio.sleep(self._backoff.pause())


class RemoteFeed:
    """An async iterator of `FeedEntry`. It follows the feed of a server inside of `async with`."""

    def __init__(
        self,
        transport: Transport,
        kinds: Iterable[str],
        *,
        after: int | None,
        run_id: str | None,
        asset: str | None,
        patience: Patience,
    ) -> None:
        self._transport = transport
        every = exact_kinds((), recorded=True)
        exact = exact_kinds(kinds, recorded=True)
        self._query: dict[str, Any] = {
            "kind": [] if exact == every else sorted(exact),
            "run": run_id,
            "asset": asset,
            "records": True,
        }
        self._position = after
        self._patience = patience
        self._open = AsyncExitStack()
        self._messages: AsyncIterator[Message] | None = None

    async def __aenter__(self) -> Self:
        """Begin to follow.

        Raises:
            FeedExpired: The feed does not reach back to the id `after`, or has never had it.
            ServerUnavailable: The server cannot be reached.
            AssetNotFound: There is no such asset.
        """
        while self._messages is None:
            try:
                await self._connect()
            except AWAY as error:
                await self._cut(error)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._messages = None
        await self._open.aclose()

    def __aiter__(self) -> Self:
        return self

    @property
    def position(self) -> int:
        """The id of the last event that was given, or after which it began: where another feed goes on."""
        return self._position or 0

    async def __anext__(self) -> FeedEntry:
        """The next event.

        Raises:
            FeedExpired: The feed does not reach back to the last event any more.
            ServerUnavailable: The server could not be reached for too long.
            StoreUnavailable: Its store did not answer for too long.
        """
        while True:
            message = await self._next()
            if message.id is not None:
                self._position = message.id
            if message.data and (entry := _entry(message)) is not None:
                return entry

    async def _next(self) -> Message:
        while True:
            try:
                if self._messages is None:
                    await self._connect()
                assert self._messages is not None
                message = await anext(self._messages, None)
            except AWAY as error:
                await self._cut(error)
                continue
            if message is None:
                await self._cut(ServerUnavailable(f"{self._transport.address.url} has ended the stream."))
                continue
            self._patience.reached()
            return message

    async def _connect(self) -> None:
        """Begin a connection; the first message of a server says where it begins."""
        lines = await self._open.enter_async_context(
            self._transport.stream("events", after=self._position, query=self._query)
        )
        found = messages(lines)
        first = await anext(found, None)
        if first is None:
            raise ServerUnavailable(f"{self._transport.address.url} has ended the stream.")
        if first.id is not None:
            self._position = first.id
        self._messages = found
        self._patience.reached()

    async def _cut(self, error: FlowstoneError) -> None:
        self._messages = None
        await self._open.aclose()
        self._open = AsyncExitStack()
        self._transport.require_open()
        await self._patience.rest(error)


def _entry(message: Message) -> FeedEntry | None:
    """The event of a message; None if it is of a kind that this release does not know."""
    try:
        told = EventModel.model_validate_json(message.data)
    except ValidationError:
        raise ServerUnavailable("An event of the stream cannot be read.") from None
    event = event_of(told)
    if event is None:
        return None

    def made() -> Event:
        return event

    return FeedEntry(told.id, told.kind, told.run_id or "", told.asset or "", made, told.beside or ())
