"""`/api/v1/tokens`: who may use the web pages and the API; for those who may `admin`."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path
from pydantic import AwareDatetime, Field

from flowstone.runs.access import AccessToken, Role
from flowstone.server.access.guard import Admin
from flowstone.server.api.model import Given, Instant, Model, Text
from flowstone.server.api.reading import PLAIN, Served
from flowstone.server.api.responses import problems

__all__ = ["CreatedTokenModel", "NewTokenModel", "TokenModel", "router"]


Name = Annotated[str, Path(description="The name of the token.", examples=["ada"])]


class TokenModel(Model):
    """What is known of an access token; not the token itself."""

    name: str
    """Its name, which is recorded with what is done by it."""
    role: Role
    """What its holder may do."""
    created_at: Instant
    """When it was made."""
    created_by: str | None
    """Who made it; null if nobody said."""
    expires_at: Instant | None
    """From when on it is worth nothing; null: never."""
    used_at: Instant | None
    """When it was used last, to the minute; null: never."""
    revoked_at: Instant | None
    """When it was revoked; null if it was not."""

    @classmethod
    def of(cls, token: AccessToken) -> TokenModel:
        """As the API shows it."""
        return cls.model_validate(token, from_attributes=True)


class NewTokenModel(Given):
    """A token to be made."""

    name: Annotated[Text, Field(max_length=100, examples=["ada"])]
    """Up to 100 letters, digits and `. _ - + @`."""
    role: Role
    """What its holder may do."""
    expires_at: AwareDatetime | None = None
    """From when on it is worth nothing; null: it is revoked."""


class CreatedTokenModel(Model):
    """A token that was made."""

    name: str
    """Its name."""
    token: str
    """The token itself, which is told here and nowhere else."""


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
        token = await runtime.create_token(new.name, new.role, new.expires_at, by=identity.name)
        return CreatedTokenModel(name=new.name, token=token)

    @routes.delete(
        "/{name}",
        summary="Revoke an access token, and end its sessions",
        responses=problems(404),
        dependencies=PLAIN,
    )
    async def revoke(runtime: Served, _: Admin, name: Name) -> TokenModel:
        return TokenModel.of(await runtime.revoke_token(name))

    return routes
