"""What no request passes: asked for under another name, for a page of somebody else, or with too much to read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from starlette.datastructures import Headers, MutableHeaders

from flowstone.server.access.bodies import bounded, too_large
from flowstone.server.access.hosts import may_be_addressed
from flowstone.server.access.origin import asked_by_stranger
from flowstone.server.access.prefix import below_prefix
from flowstone.server.access.streams import answer_while_allowed
from flowstone.server.access.visit import Visit
from flowstone.server.problems import problem

if TYPE_CHECKING:
    from fastapi.responses import JSONResponse
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from flowstone.runtime.runtime import Runtime
    from flowstone.server.access.stopping import ServerStop
    from flowstone.server.options import ServerOptions

__all__ = ["Gate"]

_PROBES: Final = frozenset({"/healthz", "/readyz"})
"""What asks for these has an address of the machine at most, and is told nothing that anybody may not know."""


class Gate:
    """ASGI middleware: refuses what is to be refused whoever asks, and makes the visit of what passes.

    Args:
        app: What answers what passes.
        runtime: Knows who may look.
        options: What the server was told.
        stop: Says when the server stops.
    """

    def __init__(self, app: ASGIApp, runtime: Runtime, options: ServerOptions, stop: ServerStop) -> None:
        self._app = app
        self._runtime = runtime
        self._options = options
        self._stop = stop

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        refused = self._refusal(scope, headers)
        if refused is not None:
            await refused(scope, receive, send)
            return
        inner = below_prefix(scope, headers)
        visit = Visit(inner, self._runtime, self._options)

        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start":
                for each in visit.new_cookies():
                    MutableHeaders(scope=message).append("Set-Cookie", each)
            await send(message)

        received = bounded(receive, self._options.largest_body)
        await answer_while_allowed(self._app, inner, received, answer, visit, self._stop)

    def _refusal(self, scope: Scope, headers: Headers) -> JSONResponse | None:
        path = scope["path"].removeprefix(scope.get("root_path", ""))
        here = (scope.get("server") or (None,))[0]
        if path not in _PROBES and not may_be_addressed(
            headers.getlist("host"), self._options.allowed_hosts, here
        ):
            return problem(
                400,
                "HostRefused",
                "This server is not addressed by that name.",
                remedy="Allow it: `flowstone serve --allow-host NAME`, or `runtime.ui(allowed_hosts=[NAME])`.",
            )
        if asked_by_stranger(scope["method"], headers):
            return problem(
                403,
                "OriginRefused",
                "A page of another origin asks for this.",
                remedy="Open the pages of this server itself; programs ask without an `Origin`.",
            )
        if too_large(headers, self._options.largest_body):
            return problem(
                413,
                "ContentTooLarge",
                f"This is larger than {self._options.largest_body:,} bytes, which is as much as is read.",
            )
        return None
