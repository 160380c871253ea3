"""Who asks: the holder of a token, or whoever sits at this machine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from flowstone.frozen import frozen
from flowstone.server.access.roles import Role

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.requests import HTTPConnection

    from flowstone.server.options import ServerOptions

__all__ = ["LOCAL", "Identity", "from_this_machine", "is_loopback_name"]


@frozen
class Identity:
    """Who asks.

    Attributes:
        name: The name that is recorded with what they do.
        role: What they may do.
    """

    name: str
    role: Role


LOCAL: Final = Identity("local", Role.ADMIN)
"""Whoever asks from this machine."""

_PASSED_ON: Final = (
    "forwarded",
    "via",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-proto",
    "x-real-ip",
)
"""Headers that a proxy adds to what it passes on."""


def from_this_machine(connection: HTTPConnection, options: ServerOptions) -> bool:
    """Whether it is asked from this machine, by nobody else through a proxy, as far as can be known."""
    if not options.open_on_loopback or connection.client is None:
        return False
    headers: Mapping[str, str] = connection.headers
    return (
        is_loopback_name(connection.client.host)
        and is_loopback_name(connection.url.hostname or "")
        and not any(name in headers for name in _PASSED_ON)
    )


def is_loopback_name(host: str) -> bool:
    """Whether a name or address leads to this machine itself."""
    from ipaddress import ip_address  # noqa: PLC0415 - most requests name `localhost` or a public name

    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
