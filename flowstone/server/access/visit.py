"""One request, as far as it says who asks: found out when it is first wanted, and once."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Final

from starlette.requests import HTTPConnection

from flowstone.server.access.cookies import cookie, named
from flowstone.server.access.csrf import csrf_of, is_secret
from flowstone.server.access.identity import LOCAL, Identity, from_this_machine

if TYPE_CHECKING:
    from starlette.types import Scope

    from flowstone.server.options import ServerOptions

__all__ = ["Visit", "visit_of"]

_KEY: Final = "flowstone.visit"
_VISITOR: Final = "visitor"


class Visit:
    """Who asks, and how they show it.

    Args:
        scope: The request; the visit is found in it from now on.
        options: What the server was told.
    """

    def __init__(self, scope: Scope, options: ServerOptions) -> None:
        scope[_KEY] = self
        self._connection = HTTPConnection(scope)
        self._options = options
        self._visitor = self._cookie(_VISITOR)
        self._is_new = False

    async def identity(self) -> Identity | None:
        """Who asks; None if nobody says."""
        return LOCAL if from_this_machine(self._connection, self._options) else None

    @property
    def secret(self) -> str:
        """The cookie by which a page of ours is told from others; empty if there is none."""
        return self._visitor

    def csrf(self) -> str:
        """The word that a page needs to change something; it comes with a cookie if there is none yet."""
        if not self.secret:
            self._visitor, self._is_new = secrets.token_urlsafe(32), True
        return csrf_of(self.secret)

    def new_cookies(self) -> list[str]:
        """`Set-Cookie` headers that the answer is to have."""
        return [cookie(self._connection, _VISITOR, self._visitor)] if self._is_new else []

    def _cookie(self, name: str) -> str:
        found = self._connection.cookies.get(named(self._connection, name), "")
        return found if is_secret(found) else ""


def visit_of(connection: HTTPConnection) -> Visit:
    """The visit that a request is."""
    visit = connection.scope[_KEY]
    assert isinstance(visit, Visit)
    return visit
