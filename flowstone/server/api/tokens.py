"""`/api/v1/tokens`: who may use the web pages and the API; for those who may `admin`."""

from __future__ import annotations

from datetime import datetime

from fastapi import APIRouter
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field
from starlette.requests import Request

from flowstone.runs.access import AccessToken, Role
from flowstone.server.access.guard import Admin

__all__ = ["CreatedTokenModel", "NewTokenModel", "TokenModel", "router"]


class TokenModel(BaseModel):
    """What is known of an access token; not the token itself.

    Attributes:
        name: Its name, which is recorded with what is done by it.
        role: What its holder may do.
        created_at: When it was made.
        created_by: Who made it; null if nobody said.
        expires_at: From when on it is worth nothing; null: never.
        used_at: When it was used last, to the minute; null: never.
        revoked_at: When it was revoked; null if it was not.
    """

    name: str
    role: Role
    created_at: datetime
    created_by: str | None
    expires_at: datetime | None
    used_at: datetime | None
    revoked_at: datetime | None

    @classmethod
    def of(cls, token: AccessToken) -> TokenModel:
        """As the API shows it."""
        return cls.model_validate(token, from_attributes=True)


class NewTokenModel(BaseModel):
    """A token to be made.

    Attributes:
        name: Up to 100 letters, digits and `. _ - + @`.
        role: What its holder may do.
        expires_at: From when on it is worth nothing; null: it is revoked.
    """

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"name": "ada", "role": "operate"}]}
    )

    name: str = Field(max_length=100)
    role: Role
    expires_at: AwareDatetime | None = None


class CreatedTokenModel(BaseModel):
    """A token that was made.

    Attributes:
        name: Its name.
        token: The token itself, which is told here and nowhere else.
    """

    name: str
    token: str


def router() -> APIRouter:
    """Its routes."""
    routes = APIRouter(prefix="/tokens", tags=["tokens"])

    @routes.get("", summary="The access tokens, the newest first, the revoked ones too")
    async def tokens(request: Request, _: Admin) -> list[TokenModel]:
        return [TokenModel.of(each) for each in await request.app.state.runtime.tokens()]

    @routes.post("", summary="Make an access token", status_code=201)
    async def create(request: Request, identity: Admin, new: NewTokenModel) -> CreatedTokenModel:
        runtime = request.app.state.runtime
        token = await runtime.create_token(new.name, new.role, new.expires_at, by=identity.name)
        return CreatedTokenModel(name=new.name, token=token)

    @routes.delete("/{name}", summary="Revoke an access token, and end its sessions")
    async def revoke(request: Request, _: Admin, name: str) -> TokenModel:
        return TokenModel.of(await request.app.state.runtime.revoke_token(name))

    return routes
