"""What a route asks for: somebody who may do it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from fastapi import Depends, HTTPException
from starlette.requests import Request

from flowstone.runs.access import Role
from flowstone.server.access.csrf import prove
from flowstone.server.access.identity import Identity
from flowstone.server.access.origin import SAFE
from flowstone.server.access.visit import visit_of

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Admin", "Operator", "Reader", "Unknown", "needs"]


class Unknown(HTTPException):
    """Nobody says who asks, or by what is worth nothing.

    Args:
        tried: Whether a token was shown.
    """

    def __init__(self, *, tried: bool) -> None:
        why = (
            "This token is worth nothing: it is unknown, revoked or over; `flowstone token list` has all."
            if tried
            else "This needs a token: send `Authorization: Bearer TOKEN`; `flowstone token create` makes one."
        )
        super().__init__(
            401, why, {"WWW-Authenticate": 'Bearer error="invalid_token"' if tried else "Bearer"}
        )


def needs(role: Role) -> Callable[..., Any]:
    """A dependency of FastAPI: who asks, if they may do what the `role` may."""

    async def checked(request: Request) -> Identity:
        visit = visit_of(request)
        identity = await visit.identity()
        if identity is None:
            raise Unknown(tried="authorization" in request.headers)
        if not identity.role.may(role):
            raise HTTPException(
                403, f"The token {identity.name!r} may {identity.role}; this needs one that may {role}."
            )
        # Whom the browser makes known by itself has yet to show that it was not somebody else's page that asked.
        if request.method not in SAFE and visit.by_browser:
            await prove(request, visit.secret)
        return identity

    return checked


Reader = Annotated[Identity, Depends(needs(Role.READ))]
Operator = Annotated[Identity, Depends(needs(Role.OPERATE))]
Admin = Annotated[Identity, Depends(needs(Role.ADMIN))]
