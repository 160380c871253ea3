"""What every answer says of itself: what browsers may do with it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from starlette.datastructures import MutableHeaders

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

__all__ = ["SecureHeaders"]

_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
_ALWAYS: Final = (
    ("Content-Security-Policy", _POLICY),
    ("X-Content-Type-Options", "nosniff"),
    ("X-Frame-Options", "DENY"),
    ("Referrer-Policy", "same-origin"),
    ("Cross-Origin-Opener-Policy", "same-origin"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
)


class SecureHeaders:
    """ASGI middleware: scripts and styles only from here, no frames, nothing kept by browsers but static files."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        kept = _kept(scope)  # Before the application divides the path into where it is mounted and the rest.

        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _ALWAYS:
                    headers[name] = value
                headers["Cache-Control"] = kept
            await send(message)

        await self._app(scope, receive, answer)


def _kept(scope: Scope) -> str:
    """Static files are asked for by their version, so they may be kept for ever."""
    versioned = b"v=" in scope.get("query_string", b"")
    path = scope["path"].removeprefix(scope.get("root_path", ""))
    return "public, max-age=31536000, immutable" if path.startswith("/static/") and versioned else "no-store"
