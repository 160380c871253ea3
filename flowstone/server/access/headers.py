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
_FOR_EVER: Final = "public, max-age=31536000, immutable"
_FOUND: Final = frozenset({200, 206, 304})


class SecureHeaders:
    """ASGI middleware: scripts and styles only from here, no frames, nothing kept by browsers but static files.

    Args:
        app: What answers.
        version: Of the static files, by which they are asked for.
    """

    def __init__(self, app: ASGIApp, version: str) -> None:
        self._app = app
        self._version = f"v={version}".encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        for_ever = self._is_versioned(
            scope
        )  # Before the path is divided into where it is mounted and the rest.

        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _ALWAYS:
                    headers[name] = value
                found = message["status"] in _FOUND
                headers["Cache-Control"] = _FOR_EVER if for_ever and found else "no-store"
            await send(message)

        await self._app(scope, receive, answer)

    def _is_versioned(self, scope: Scope) -> bool:
        """Whether it asks for a static file of this version: that may be kept for ever, and nothing else."""
        path = scope["path"].removeprefix(scope.get("root_path", ""))
        return bool(path.startswith("/static/") and scope.get("query_string") == self._version)
