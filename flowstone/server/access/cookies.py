"""The cookies of a browser: what they are called, and how they are kept.

Each is only for the place where it was set: under https by the browser's own rules for `__Host-` and `__Secure-`,
and by its name for the port, which cookies do not tell apart by themselves.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from flowstone.server.access.prefix import prefix_of

if TYPE_CHECKING:
    from starlette.requests import HTTPConnection

__all__ = ["cookie", "is_secure", "named"]


def is_secure(connection: HTTPConnection) -> bool:
    """Whether whoever asks does so by https, here or at the proxy in front.

    Who says so without need harms nobody else: their own browser keeps the cookie for secure connections only.
    """
    said = connection.headers.get("x-forwarded-proto", "").rpartition(",")[2].strip().lower()
    return connection.url.scheme == "https" or said == "https"


def named(connection: HTTPConnection, name: str) -> str:
    """What a cookie is called here."""
    port = connection.url.port
    if is_secure(connection):
        return f"__Secure-flowstone_{name}" if prefix_of(connection) else f"__Host-flowstone_{name}"
    return f"flowstone_{name}" + (f"_{port}" if port else "")


def cookie(connection: HTTPConnection, name: str, value: str, *, lasts: int | None = None) -> str:
    """The value of a `Set-Cookie` header.

    Args:
        connection: Who is to keep it.
        name: What it is.
        value: Letters, digits, `-` and `_`.
        lasts: Seconds; None: until the browser is closed; 0: it is forgotten.
    """
    parts = [f"{named(connection, name)}={value}", f"Path={prefix_of(connection) or '/'}"]
    parts += [] if lasts is None else [f"Max-Age={lasts}"]
    parts += ["HttpOnly", "SameSite=Lax", *(["Secure"] if is_secure(connection) else [])]
    return "; ".join(parts)
