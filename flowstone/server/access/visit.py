"""One request, as far as it says who asks: found out when it is first wanted, and once."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Final, Literal

from starlette.requests import HTTPConnection

from flowstone.errors import RuntimeStopping, StoreUnavailable
from flowstone.server.access.cookies import cookie, named
from flowstone.server.access.csrf import csrf_of, is_secret
from flowstone.server.access.identity import LOCAL, Identity, from_this_machine
from flowstone.server.access.origin import asked_by_browser
from flowstone.store.access import SESSION_LASTS, TOKEN

if TYPE_CHECKING:
    from starlette.types import Scope

    from flowstone.runtime.runtime import Runtime
    from flowstone.server.options import ServerOptions

__all__ = ["Visit", "visit_of"]

_KEY: Final = "flowstone.visit"
_SESSION: Final = "session"
_VISITOR: Final = "visitor"


class Visit:
    """Who asks, and how they show it: by a token, by the session of a browser, or by sitting at this machine.

    Args:
        scope: The request; the visit is found in it from now on.
        runtime: Knows tokens and sessions.
        options: What the server was told.
    """

    def __init__(self, scope: Scope, runtime: Runtime, options: ServerOptions) -> None:
        scope[_KEY] = self
        self._connection = HTTPConnection(scope)
        self._runtime = runtime
        self._options = options
        self._identity: Identity | None = None
        self._asked = False
        self._shown = ""  # The token or the session that was worth something.
        self._how: Literal["token", "session", "machine"] | None = None
        self._visitor = self._cookie(_VISITOR)
        self._cookies: list[str] = []

    async def identity(self) -> Identity | None:
        """Who asks; None if nobody says, or by what is worth nothing."""
        if not self._asked:
            self._identity = await self._found()
            self._asked = True
        return self._identity

    async def lasts(self) -> bool:
        """Whether who asked may still be answered: what was shown may have been revoked meanwhile."""
        if not self._shown:
            return True
        try:
            token = await self._runtime.identify(self._shown)
        except StoreUnavailable:
            return True  # Then nothing was revoked either, as far as anybody knows.
        except RuntimeStopping:
            return False
        return token is not None

    @property
    def by_browser(self) -> bool:
        """Whether the browser made known by itself who asks: then the page has yet to prove that it is ours."""
        return self._how == "session" or asked_by_browser(self._connection.headers)

    @property
    def secret(self) -> str:
        """The cookie by which a page of ours is told from others; empty if there is none."""
        return self._shown if self._how == "session" else self._visitor

    def csrf(self) -> str:
        """The word that a page needs to change something; it comes with a cookie if there is none yet."""
        if not self.secret:
            self._visitor = secrets.token_urlsafe(32)
            self._cookies.append(cookie(self._connection, _VISITOR, self._visitor))
        return csrf_of(self.secret)

    async def log_in(self, token: str) -> bool:
        """Begin a session for the browser; False if the token is worth nothing."""
        session = await self._runtime.log_in(token)
        if session is not None:
            await self._runtime.log_out(self._cookie(_SESSION))
            lasts = int(SESSION_LASTS.total_seconds())
            self._cookies.append(cookie(self._connection, _SESSION, session, lasts=lasts))
        return session is not None

    async def log_out(self) -> None:
        """End the browser's session, if it has one."""
        await self._runtime.log_out(self._cookie(_SESSION))
        self._cookies.append(cookie(self._connection, _SESSION, "", lasts=0))

    def new_cookies(self) -> list[str]:
        """`Set-Cookie` headers that the answer is to have."""
        return self._cookies

    async def _found(self) -> Identity | None:
        scheme, _, given = self._connection.headers.get("authorization", "").partition(" ")
        if scheme:
            # Whoever shows a token means it: one that is worth nothing is not made up for by anything else.
            given = given.strip()
            is_token = scheme.lower() == "bearer" and given.startswith(TOKEN)
            return await self._holder(given, "token") if is_token else None
        session = self._cookie(_SESSION)
        identity = await self._holder(session, "session") if session else None
        if identity is None and from_this_machine(self._connection, self._options):
            self._how, identity = "machine", LOCAL
        return identity

    async def _holder(self, shown: str, how: Literal["token", "session"]) -> Identity | None:
        token = await self._runtime.identify(shown)
        if token is None:
            return None
        self._shown, self._how = shown, how
        return Identity(token.name, token.role)

    def _cookie(self, name: str) -> str:
        found = self._connection.cookies.get(named(self._connection, name), "")
        return found if is_secret(found) else ""


def visit_of(connection: HTTPConnection) -> Visit:
    """The visit that a request is."""
    visit = connection.scope[_KEY]
    assert isinstance(visit, Visit)
    return visit
