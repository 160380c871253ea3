"""Every route of an application, however deep it was included, and an answer's beginning, be it a stream."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote, unquote

__all__ = ["Answer", "asked", "filled", "routes_of"]

_PARAMETER = re.compile(r"\{(\w+)(?::\w+)?\}")


def routes_of(app: Any) -> Iterator[tuple[str, str]]:
    """Method and path of each route; of what is mounted, GET."""
    for route in app.routes:
        yield from _routes(route)


def _routes(route: Any) -> Iterator[tuple[str, str]]:
    candidates = getattr(route, "effective_candidates", None)  # A router that was included.
    if candidates is not None:
        for each in candidates():
            yield from _routes(each)
        return
    for method in sorted(getattr(route, "methods", None) or {"GET"}):
        yield method, route.path


def filled(path: str, values: Mapping[str, str], default: str = "x") -> str:
    """A path with a value for each of its parameters, as a browser would write it."""
    return _PARAMETER.sub(lambda found: quote(values.get(found[1], default), safe=""), path)


class Answer:
    """What was answered.

    Attributes:
        status: The status.
        headers: By name in lower case.
        body: Its first 200,000 bytes; of a stream its first message.
    """

    def __init__(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        self.status = status
        self.headers = headers
        self.body = body

    @property
    def text(self) -> str:
        return self.body.decode()


async def asked(app: Any, method: str, path: str, *, elsewhere: bool = False, **headers: str) -> Answer:
    """Ask an application as its server does; a stream is left when its first message has come."""
    messages: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    place, _, query = path.partition("?")
    host = b"10.0.0.1:8150" if elsewhere else b"127.0.0.1:8150"
    given = {name.replace("_", "-").lower(): value for name, value in headers.items()}
    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": unquote(place),
        "raw_path": place.encode(),
        "query_string": query.encode(),
        "root_path": "",
        "headers": [(b"host", host), *((name.encode(), value.encode()) for name, value in given.items())],
        "client": ("10.0.0.7" if elsewhere else "127.0.0.1", 50_000),
        "server": ("10.0.0.1" if elsewhere else "127.0.0.1", 8150),
    }
    bodies = iter([{"type": "http.request", "body": b"", "more_body": False}])

    async def receive() -> dict[str, Any]:
        given = next(bodies, None)
        if given is None:
            await asyncio.Event().wait()  # Nobody leaves before the answer has come.
        assert given is not None
        return given

    answering = asyncio.create_task(app(scope, receive, messages.put))
    try:
        async with asyncio.timeout(60):
            return await _answer(answering, messages)
    finally:
        answering.cancel()
        await asyncio.gather(answering, return_exceptions=True)


async def _answer(answering: asyncio.Task[None], messages: asyncio.Queue[dict[str, Any]]) -> Answer:
    start = await _next(answering, messages)
    headers = {name.decode().lower(): value.decode("latin-1") for name, value in start["headers"]}
    body = b""
    while True:
        part = await _next(answering, messages)
        body += part.get("body", b"")
        streams = headers.get("content-type", "").startswith("text/event-stream")
        if not part.get("more_body") or (streams and body) or len(body) > 200_000:
            return Answer(start["status"], headers, body)


async def _next(answering: asyncio.Task[None], messages: asyncio.Queue[dict[str, Any]]) -> dict[str, Any]:
    coming = asyncio.create_task(messages.get())
    await asyncio.wait({coming, answering}, return_when=asyncio.FIRST_COMPLETED)
    if not coming.done() and messages.empty():
        coming.cancel()
        await answering  # Raises what it failed with.
        raise AssertionError("it ended without an answer")
    return await coming
