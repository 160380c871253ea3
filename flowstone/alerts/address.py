"""Where a webhook goes to: which URLs are taken, and how they are shown."""

from __future__ import annotations

import ipaddress
from typing import Final
from urllib.parse import urlsplit

from flowstone.errors import DefinitionError
from flowstone.masking import masked

__all__ = ["checked_url", "is_local", "shown_url"]

_LOCAL: Final = frozenset({"localhost", "ip6-localhost"})


def checked_url(url: object, *, insecure: bool) -> str:
    """The URL, if events may be sent there.

    Raises:
        DefinitionError: It is no URL of the web, or goes over a network in clear and `insecure` was not given.
    """
    if not isinstance(url, str):
        raise DefinitionError(f"WebhookAlert({url!r:.100}) takes a URL, a str.")
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        host, parts = None, urlsplit("")
    if parts.scheme not in {"http", "https"} or not host:
        raise DefinitionError(
            f"WebhookAlert({shown_url(url)!r}) takes a URL such as https://example.com/hook."
        )
    if parts.scheme == "http" and not insecure and not is_local(host):
        raise DefinitionError(
            f"WebhookAlert({shown_url(url)!r}) would send events in clear over a network: give an https:// URL, or "
            "insecure=True if that network is yours."
        )
    return url


def shown_url(url: str) -> str:
    """The URL as people may read it: its path and query are secrets of many services."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        return masked(url)[:100]
    if not host:
        return masked(url)[:100]
    rest = "/…" if parts.path not in {"", "/"} or parts.query else ""
    return f"{parts.scheme}://{host}{'' if port is None else f':{port}'}{rest}"


def is_local(host: str) -> bool:
    """Whether a host is this machine."""
    if host.lower() in _LOCAL:
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
