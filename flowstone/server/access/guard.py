"""What a route asks for: somebody who may do it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from fastapi import Depends, HTTPException
from starlette.requests import HTTPConnection

from flowstone.server.access.identity import LOCAL, Identity, from_this_machine
from flowstone.server.access.roles import Role

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Admin", "Operator", "Reader", "identify", "needs"]


async def identify(connection: HTTPConnection) -> Identity | None:
    """Who asks; None if nobody says."""
    if from_this_machine(connection, connection.app.state.options):
        return LOCAL
    return None


def needs(role: Role) -> Callable[..., Any]:
    """A dependency of FastAPI: who asks, if they may do what the `role` may."""

    async def checked(connection: HTTPConnection) -> Identity:
        identity = await identify(connection)
        if identity is None:
            raise HTTPException(
                401,
                "This needs a token: send `Authorization: Bearer TOKEN`; `flowstone token create` makes one.",
                {"WWW-Authenticate": "Bearer"},
            )
        if not identity.role.may(role):
            raise HTTPException(
                403, f"The token {identity.name!r} may {identity.role}; this needs one that may {role}."
            )
        return identity

    return checked


Reader = Annotated[Identity, Depends(needs(Role.READ))]
Operator = Annotated[Identity, Depends(needs(Role.OPERATE))]
Admin = Annotated[Identity, Depends(needs(Role.ADMIN))]
