"""Whether a browser asks for a page of somebody else: then nothing is changed, and nothing handed out but pages.

Browsers say so themselves: in `Sec-Fetch-Site` where the connection is secure or this machine's own, in `Origin`
with every request that may change something. A page can set neither. Whoever sends neither is no browser.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from starlette.datastructures import Headers

__all__ = ["SAFE", "asked_by_browser", "asked_by_stranger"]

SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})
"""Methods that never change anything."""

_OWN: Final = frozenset({"same-origin", "none"})  # `none`: a person typed the address, or chose a bookmark.


def asked_by_browser(headers: Headers) -> bool:
    """Whether it is a browser that asks, as far as it says so."""
    return "origin" in headers or "sec-fetch-site" in headers


def asked_by_stranger(method: str, headers: Headers) -> bool:
    """Whether a page of another origin has a browser ask for this.

    A link from elsewhere to a page is none: whoever follows it looks at the page, and the other one does not.
    """
    site = headers.get("sec-fetch-site")
    if method in SAFE:
        return site is not None and site not in _OWN and headers.get("sec-fetch-mode") != "navigate"
    if site is not None:
        return site not in _OWN
    origin = headers.get("origin")
    return origin is not None and origin.partition("://")[2].lower() != headers.get("host", "").lower()
