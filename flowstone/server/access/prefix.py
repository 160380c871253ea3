"""Where the pages lie for whoever asks: below the path of a mount, and below what a proxy says it has cut off."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

if TYPE_CHECKING:
    from starlette.datastructures import Headers
    from starlette.requests import HTTPConnection
    from starlette.types import Scope

__all__ = ["below_prefix", "path_of", "prefix_of"]

# It becomes the beginning of every link: one slash at the start of each part, and nothing that leads elsewhere.
_PREFIX: Final = re.compile(r"(?:/(?!\.{1,2}(?:/|$))[A-Za-z0-9._~-]{1,100}){1,10}")


def below_prefix(scope: Scope, headers: Headers) -> dict[str, Any]:
    """The scope as if the request had come with the path that `X-Forwarded-Prefix` says was cut off.

    What cannot be a path is ignored, as the header is not ours to answer for.
    """
    given = headers.get("x-forwarded-prefix", "").rstrip("/")
    if _PREFIX.fullmatch(given) is None:
        return dict(scope)
    return {**scope, "root_path": given + scope.get("root_path", ""), "path": given + scope["path"]}


def prefix_of(connection: HTTPConnection) -> str:
    """Where it lies, for whoever asks: nothing, or a path without a slash at its end."""
    return str(connection.scope.get("root_path", "")).rstrip("/")


def path_of(connection: HTTPConnection) -> str:
    """What was asked for below that, as it is written in an address: without `?` and what follows it."""
    path = str(connection.scope["path"]).removeprefix(prefix_of(connection))
    return quote(path, safe="/:@!$&'()*+,;=~")
