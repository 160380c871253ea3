"""By which names a server may be addressed, so that no page of somebody else makes its own name lead here.

A page of `evil.example` may have its name resolved to 127.0.0.1 after it was loaded (DNS rebinding). To the browser
it then still asks its own origin; only `Host` shows what it asks for.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from ipaddress import IPv4Address, IPv6Address

__all__ = ["is_loopback_name", "may_be_addressed", "name_of"]

_HOST: Final = re.compile(r"(?:\[([0-9a-f:.]{2,45})\]|([a-z0-9][a-z0-9._-]{0,252}))(?::[0-9]{1,5})?")
_ANY: Final = "*"


def name_of(host: str) -> str | None:
    """The name or address in a `Host` header, without port and brackets; None if it is none."""
    found = _HOST.fullmatch(host.lower())
    return None if found is None else (found[1] or found[2])


def may_be_addressed(hosts: Sequence[str], allowed: Collection[str], here: str | None) -> bool:
    """Whether a request may be answered.

    Args:
        hosts: The values of its `Host` headers: there is to be one.
        allowed: Names by which the server may be addressed besides those of the loopback; `*` is any.
        here: The address of this machine at which it came in: no name leads there but that address itself.
    """
    name = name_of(hosts[0]) if len(hosts) == 1 else None
    if name is None:
        return False
    if _ANY in allowed or is_loopback_name(name) or name in {each.lower().strip("[]") for each in allowed}:
        return True
    address = _address(name)
    return address is not None and here is not None and address == _address(here)


def is_loopback_name(host: str) -> bool:
    """Whether a name or address leads to this machine itself."""
    if host == "localhost":
        return True
    address = _address(host)
    return address is not None and address.is_loopback


def _address(text: str) -> IPv4Address | IPv6Address | None:
    from ipaddress import ip_address  # noqa: PLC0415 - most requests name `localhost` or a public name

    try:
        address = ip_address(text)
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address
