"""Addresses of the server's own pages and files, as they are for whoever asks."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from flowstone.server.access.prefix import prefix_of
from flowstone.server.render import static_version

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.requests import HTTPConnection

__all__ = ["links_for"]


def links_for(connection: HTTPConnection) -> Mapping[str, Any]:
    """What templates make addresses with: `url('/path')` of a page, `static('name')` of a file of this version."""
    prefix = prefix_of(connection)
    return {"url": partial(_url, prefix), "static": partial(_static, prefix)}


def _static(prefix: str, name: str) -> str:
    return f"{prefix}/static/{name}?v={static_version()}"


def _url(prefix: str, path: str) -> str:
    return f"{prefix}{path}"
