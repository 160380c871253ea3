"""The log of a run, read from a server: what there is, or on and on until the run has ended."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any, Final, Self

from pydantic import ValidationError

from flowstone.client.feed import AWAY
from flowstone.client.messages import messages
from flowstone.errors import ServerUnavailable
from flowstone.wire.logs import LogLineModel

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Generator, Mapping

    from flowstone.client.feed import Patience
    from flowstone.client.transport import Transport
    from flowstone.errors import FlowstoneError
    from flowstone.runs.log_line import LogLine

__all__ = ["RemoteLogLines"]

_SILENCE: Final = 60.0
"""Seconds after which a log that is followed is asked for anew: nothing says meanwhile that the server is there."""


_HELD: Final = 5.0
"""Seconds after which a connection without a line counts as one to a server that is there."""


class RemoteLogLines:
    """An async iterator of `LogLine`, in the order in which they were kept.

    `async for line in client.logs(run_id)` reads it. To await it first is to be told at once whether there is such
    a run: `lines = await client.logs(run_id)`. One that was cut is gone on with after the last line.
    """

    def __init__(
        self,
        transport: Transport,
        run_id: str,
        query: Mapping[str, Any],
        *,
        follow: bool,
        after: int,
        limit: int | None,
        tail: int | None,
        patience: Patience,
    ) -> None:
        self._transport = transport
        self._run_id = run_id
        self._query = query
        self._follow = follow
        self._after = after
        self._left = limit
        self._tail = tail
        self._patience = patience
        self._open = AsyncExitStack()
        self._lines: AsyncIterator[str] | None = None
        self._since = 0.0
        self._over = False

    def __await__(self) -> Generator[Any, None, Self]:
        return self._begun().__await__()

    def __aiter__(self) -> Self:
        return self

    async def aclose(self) -> None:
        """End the connection, of one that is not read to its end."""
        self._over = True
        self._lines = None
        await self._open.aclose()

    async def __anext__(self) -> LogLine:
        """The next line.

        Raises:
            RunNotFound: There is no such run.
            AssetNotFound: There is no such asset.
            PartitionError: The partition is foreign to the asset.
            ServerUnavailable: The server could not be reached for too long, or a line cannot be read.
            StoreUnavailable: Its store did not answer for too long.
        """
        while not self._over and self._left != 0:
            try:
                await self._begun()
                assert self._lines is not None
                text = await anext(self._lines, None)
            except AWAY as error:
                await self._cut(error)
                continue
            if text is None:
                break
            # Outside of what is tried again: a line that cannot be read now cannot be read the next time.
            line = _line(text)
            self._patience.reached()
            self._after = line.number
            if self._left is not None:
                self._left -= 1
            return line
        await self.aclose()
        raise StopAsyncIteration

    async def _begun(self) -> Self:
        if self._lines is None and not self._over:
            lines = await self._open.enter_async_context(
                self._transport.stream(
                    "runs",
                    self._run_id,
                    "logs",
                    silence=_SILENCE,
                    query={
                        **self._query,
                        "follow": self._follow or None,
                        "after": self._after or None,
                        "limit": self._left,
                        "tail": None if self._after else self._tail,
                    },
                )
            )
            self._lines = _followed(lines) if self._follow else _read(lines)
            self._since = asyncio.get_running_loop().time()
        return self

    async def _cut(self, error: FlowstoneError) -> None:
        # A log may be quiet for long. A connection that is cut as soon as it is made is none that was reached.
        if self._lines is not None and asyncio.get_running_loop().time() - self._since >= _HELD:
            self._patience.reached()
        self._lines = None
        await self._open.aclose()
        self._open = AsyncExitStack()
        self._transport.require_open()
        await self._patience.rest(error)


async def _read(lines: AsyncIterator[str]) -> AsyncIterator[str]:
    """Lines of JSON."""
    async for line in lines:
        if line:
            yield line


async def _followed(lines: AsyncIterator[str]) -> AsyncIterator[str]:
    """The data of server-sent events, up to the one that says that there are no more."""
    async for message in messages(lines):
        if message.event == "end":
            return
        if message.event == "problem":
            break
        if message.data:
            yield message.data
    raise ServerUnavailable("The stream has ended before the run.")


def _line(text: str) -> LogLine:
    try:
        return LogLineModel.model_validate_json(text).as_record()
    except ValidationError:
        raise ServerUnavailable("A line of the log cannot be read.") from None
