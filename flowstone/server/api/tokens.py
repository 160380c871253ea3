"""`/api/v1/tokens`: who may use the web pages and the API; for those who may `admin`."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Query

from flowstone.server.access.guard import Admin
from flowstone.server.api.reading import PLAIN, Served
from flowstone.server.api.responses import problems
from flowstone.wire.model import ByModel
from flowstone.wire.tokens import CreatedTokenModel, NewTokenModel, TokenModel

__all__ = ["router"]


Name = Annotated[str, Path(description="The name of the token.", examples=["ada"])]


def router() -> APIRouter:
    """Its routes."""
    routes = APIRouter(prefix="/tokens", tags=["tokens"])

    @routes.get(
        "",
        summary="The access tokens, the newest first, the revoked ones too",
        responses=problems(),
        dependencies=PLAIN,
    )
    async def tokens(runtime: Served, _: Admin) -> list[TokenModel]:
        return [TokenModel.of(each) for each in await runtime.tokens()]

    @routes.post(
        "", summary="Make an access token", status_code=201, responses=problems(), dependencies=PLAIN
    )
    async def create(runtime: Served, identity: Admin, new: NewTokenModel) -> CreatedTokenModel:
        token = await runtime.create_token(new.name, new.role, new.expires_at, by=identity.acting_for(new.by))
        return CreatedTokenModel(name=new.name, token=token)

    @routes.delete(
        "/{name}",
        summary="Revoke an access token, and end its sessions",
        responses=problems(404),
    )
    async def revoke(
        runtime: Served, identity: Admin, name: Name, query: Annotated[ByModel, Query()]
    ) -> TokenModel:
        return TokenModel.of(await runtime.revoke_token(name, by=identity.acting_for(query.by)))

    return routes
