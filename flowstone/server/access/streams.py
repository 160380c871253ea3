"""Answers that end before they are over: when the server stops, or whoever asked may not look any more.

A stream ends soon after either. What is not answered at all when the server waits no longer is refused, in words,
instead of leaving whoever asked with a connection that was cut.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import anyio
from starlette.datastructures import Headers

from flowstone.server.problems import problem

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from flowstone.server.access.stopping import ServerStop
    from flowstone.server.access.visit import Visit

__all__ = ["LOOKS_EVERY", "answer_while_allowed"]

LOOKS_EVERY: Final = 2.0
"""Seconds between two looks whether the token of a stream is worth something."""

_STREAM: Final = "text/event-stream"


class _Answer:
    """How far an answer has come.

    Args:
        send: Sends it.
        on_stream: Called when it begins, if it is a stream.
    """

    def __init__(self, send: Send, on_stream: Callable[[], object]) -> None:
        self._send = send
        self._on_stream = on_stream
        self._streams = False
        self.begun = False

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.begun = True
            self._streams = Headers(scope=message).get("content-type", "").startswith(_STREAM)
            if self._streams:
                self._on_stream()
        await self._send(message)

    async def end(self, scope: Scope, receive: Receive) -> None:
        """End it before it is over."""
        if self._streams:
            await self._send({"type": "http.response.body", "body": b"", "more_body": False})
        elif not self.begun:
            refusal = problem(
                503, "RuntimeStopping", "The server stops, and has not done this yet.", instance=scope["path"]
            )
            await refusal(scope, receive, self._send)


async def answer_while_allowed(
    app: ASGIApp, scope: Scope, receive: Receive, send: Send, visit: Visit, stop: ServerStop
) -> None:
    """Have an application answer; if it is by a stream, only for as long as the visit and the server last."""
    done = False
    raised: Exception | None = None

    async def watch() -> None:
        with stop.telling(group.cancel_scope.cancel):
            while True:
                await anyio.sleep(LOOKS_EVERY)
                if not await visit.lasts():
                    break
        group.cancel_scope.cancel()

    def refuse() -> None:
        if not answer.begun:
            group.cancel_scope.cancel()

    answer = _Answer(send, lambda: group.start_soon(watch))
    async with anyio.create_task_group() as group:
        with stop.refusing(refuse):
            try:
                await app(scope, receive, answer)
                done = True
            except Exception as error:
                raised = error
        group.cancel_scope.cancel()
    if raised is not None:
        raise raised
    if not done:
        await answer.end(scope, receive)
