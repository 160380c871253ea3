"""What is read of a request before its parameters: that its address is text, and says each thing once.

The first holds for every address, of pages as well; the second for the API, which leaves nothing out silently.
"""

from __future__ import annotations

from typing import Annotated, Final
from urllib.parse import unquote_to_bytes

from fastapi import Depends
from starlette.requests import Request

from flowstone.errors import ArgumentError
from flowstone.runtime.runtime import Runtime

__all__ = ["PLAIN", "Served", "legible", "readable"]

_REPEATED: Final = frozenset({"kind", "of", "partitions", "status", "tag"})
"""The parameters that may come more than once: each adds to what is asked for."""


async def legible(request: Request) -> None:
    """Refuse an address that is no text.

    Raises:
        ArgumentError: It is none.
    """
    query: bytes = request.scope.get("query_string", b"")
    path: bytes = request.scope.get("raw_path") or b""
    for part in (path, query):
        _check(unquote_to_bytes(part))


async def readable(request: Request) -> None:
    """Refuse an address in which two values compete.

    Raises:
        ArgumentError: There are two.
    """
    seen: dict[str, None] = {}
    for name, _ in request.query_params.multi_items():
        if name in seen and name not in _REPEATED:
            raise ArgumentError(f"The parameter `{name:.100}` is given twice.")
        seen[name] = None


def _check(part: bytes) -> None:
    try:
        text = part.decode()
    except UnicodeDecodeError:
        raise ArgumentError("The address is not UTF-8 once its percent signs are resolved.") from None
    if "\x00" in text:
        raise ArgumentError("The address has a NUL in it, which is in no name and no text.")


async def _plain(request: Request) -> None:
    for name in request.query_params:
        raise ArgumentError(f"There is no parameter `{name:.100}` here: this address takes none.")


PLAIN: Final = [Depends(_plain)]
"""The dependencies of a route that takes no parameters."""


async def _served(request: Request) -> Runtime:
    runtime = request.app.state.runtime
    assert isinstance(runtime, Runtime)
    return runtime


Served = Annotated[Runtime, Depends(_served)]
"""The runtime that is asked."""
