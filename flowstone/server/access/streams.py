"""Streams that end soon after whoever asked for them may not look any more, or the server has been told to stop."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import anyio
from starlette.datastructures import Headers

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from flowstone.server.access.stopping import ServerStop
    from flowstone.server.access.visit import Visit

__all__ = ["LOOKS_EVERY", "answer_while_allowed"]

LOOKS_EVERY: Final = 2.0
"""Seconds between two looks whether the token of a stream is worth something."""

_STREAM: Final = "text/event-stream"


async def answer_while_allowed(
    app: ASGIApp, scope: Scope, receive: Receive, send: Send, visit: Visit, stop: ServerStop
) -> None:
    """Have an application answer; if it is by a stream, only for as long as the visit and the server last."""
    streams = done = False
    raised: Exception | None = None

    async def watch() -> None:
        with stop.telling(group.cancel_scope.cancel):
            while True:
                await anyio.sleep(LOOKS_EVERY)
                if not await visit.lasts():
                    break
        group.cancel_scope.cancel()

    async def said(message: Message) -> None:
        nonlocal streams
        if message["type"] == "http.response.start":
            streams = Headers(scope=message).get("content-type", "").startswith(_STREAM)
            if streams:
                group.start_soon(watch)
        await send(message)

    async with anyio.create_task_group() as group:
        try:
            await app(scope, receive, said)
            done = True
        except Exception as error:
            raised = error
        group.cancel_scope.cancel()
    if raised is not None:
        raise raised
    if streams and not done:
        await send({"type": "http.response.body", "body": b"", "more_body": False})
