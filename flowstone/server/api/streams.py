"""Answers that go on: server-sent events, and lines."""

from __future__ import annotations

from contextlib import aclosing
from typing import TYPE_CHECKING, Any, Final

from starlette.responses import StreamingResponse

from flowstone.errors import ArgumentError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from starlette.types import Receive, Scope, Send

__all__ = ["EVENT_STREAM", "Stream", "event_stream", "last_number", "message"]

EVENT_STREAM: Final = "text/event-stream"


class Stream(StreamingResponse):
    """An answer that goes on; what makes it is closed with the connection.

    Starlette leaves that to the garbage collector where the connection ends while a message is sent. Until then a
    reader would stay subscribed, and what it has not read would be kept for it.

    Args:
        messages: Makes the answer, piece by piece.
        first: A piece that it has made already, to find out whether there is anything.
        options: As of `StreamingResponse`.
    """

    def __init__(self, messages: AsyncGenerator[Any, None], first: Any = None, **options: Any) -> None:
        super().__init__(messages if first is None else _after(first, messages), **options)
        self._messages = messages

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with aclosing(self._messages):
            await super().__call__(scope, receive, send)


async def _after(first: Any, messages: AsyncGenerator[Any, None]) -> AsyncGenerator[Any, None]:
    yield first
    async for each in messages:
        yield each


def message(number: int, data: str, kind: str = "") -> bytes:
    """One server-sent event; `data` is one line."""
    named = f"event: {kind}\n" if kind else ""
    return f"id: {number}\n{named}data: {data}\n\n".encode()


def event_stream(messages: AsyncGenerator[bytes | str, None], first: str | None = None) -> Stream:
    """An answer of server-sent events, which nobody on the way keeps or collects; arguments as of `Stream`."""
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return Stream(messages, first, media_type=EVENT_STREAM, headers=headers)


def last_number(given: str) -> int:
    """The number that `Last-Event-ID` says.

    Raises:
        ArgumentError: It is none of ours.
    """
    if not (given.isascii() and given.isdigit() and len(given) < 19):
        raise ArgumentError("`Last-Event-ID` is no id of this stream.")
    return int(given)
