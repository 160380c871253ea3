"""Answers that go on: server-sent events, and lines."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from starlette.responses import StreamingResponse

from flowstone.errors import ArgumentError

if TYPE_CHECKING:
    from collections.abc import AsyncIterable

__all__ = ["EVENT_STREAM", "event_stream", "last_number", "message"]

EVENT_STREAM: Final = "text/event-stream"


def message(number: int, data: str, kind: str = "") -> bytes:
    """One server-sent event; `data` is one line."""
    named = f"event: {kind}\n" if kind else ""
    return f"id: {number}\n{named}data: {data}\n\n".encode()


def event_stream(messages: AsyncIterable[bytes]) -> StreamingResponse:
    """An answer of server-sent events, which nobody on the way is to keep or to collect."""
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return StreamingResponse(messages, media_type=EVENT_STREAM, headers=headers)


def last_number(given: str) -> int:
    """The number that `Last-Event-ID` says.

    Raises:
        ArgumentError: It is none of ours.
    """
    if not (given.isascii() and given.isdigit() and len(given) < 19):
        raise ArgumentError("`Last-Event-ID` is no id of this stream.")
    return int(given)
