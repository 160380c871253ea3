"""Where a server is: which addresses are taken, how they are shown, and how a path below one is written."""

from __future__ import annotations

from typing import Final
from urllib.parse import quote, urlsplit

from flowstone.alerts.address import is_local
from flowstone.errors import ArgumentError
from flowstone.frozen import frozen
from flowstone.printable import one_line
from flowstone.remedies import Remedies

__all__ = ["API", "Address", "path_of"]

API: Final = "/api/v1"


@frozen
class Address:
    """The address of a server.

    Attributes:
        url: With the prefix below which it is mounted, and without a slash at its end; fit to be shown.
        secure: Whether what is sent there cannot be read on the way.
        local: Whether it is this machine.
    """

    url: str
    secure: bool
    local: bool

    @classmethod
    def of(cls, url: object) -> Address:
        """Read one.

        Raises:
            ArgumentError: It is no address of the web, or has a password or a query in it.
        """
        if not isinstance(url, str):
            raise ArgumentError(f"The address of a server is text, not a {type(url).__name__}.")
        try:
            parts = urlsplit(url.strip())
            host, port = parts.hostname, parts.port
        except ValueError:
            raise _refused("This is no address of a server.") from None
        if parts.scheme not in {"http", "https"} or not host:
            raise _refused("This is no address of a server.")
        if parts.username is not None or parts.password is not None:
            raise ArgumentError(
                "The address of a server has no name and no password in it.",
                remedies=Remedies(
                    "Give the token by token=.",
                    "Give the token by FLOWSTONE_TOKEN or --token-file.",
                ),
            )
        if parts.query or parts.fragment:
            raise _refused("The address of a server has no `?` and no `#` in it.")
        name = f"[{host}]" if ":" in host else host
        prefix = parts.path.rstrip("/").removesuffix(API).rstrip("/")
        shown = f"{parts.scheme}://{name}{'' if port is None else f':{port}'}{prefix}"
        return cls(one_line(shown), parts.scheme == "https", is_local(host))


def path_of(*parts: str) -> str:
    """A path of the API from its parts, each of which may have anything in it.

    Raises:
        ArgumentError: A part is empty, or one that means another place to whatever is on the way.
    """
    for part in parts:
        if part in {"", ".", ".."} or "\x00" in part:
            raise ArgumentError(f"{part!r:.200} is no name and no id.")
    try:
        return f"{API}/{'/'.join(quote(part, safe='') for part in parts)}"
    except UnicodeEncodeError:
        raise ArgumentError("A name with a lone surrogate in it is none of ours.") from None


def _refused(what: str) -> ArgumentError:
    example = "Write it as https://flow.example.com, or http://127.0.0.1:8150."
    return ArgumentError(what, remedies=Remedies(example, example))
