"""Access tokens and sessions in Postgres. See `flowstone.store.tokens` for what each call promises."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flowstone.runs.access import AccessToken, Role
from flowstone.store.postgres.columns import utc
from flowstone.store.sanitise import sanitised_name
from flowstone.store.tokens import COARSE, MOST_SESSIONS, AccessTokens

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from flowstone.store.postgres.database import Database

__all__ = ["PostgresTokens"]


class PostgresTokens(AccessTokens):
    """The tokens of one database.

    Args:
        database: Where.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, token: AccessToken, digest: str) -> bool:
        given = (token.name, str(token.role), utc(token.created_at), token.created_by, utc(token.expires_at))
        (row,) = await self._database.fetch("add_token", digest, *given)
        return bool(row["added"])

    async def all(self) -> Sequence[AccessToken]:
        return [_token(row) for row in await self._database.fetch("access_tokens")]

    async def find(self, digest: str) -> tuple[AccessToken, str] | None:
        return _found(await self._database.fetch("access_token", digest))

    async def used(self, digest: str, at: datetime) -> None:
        await self._database.fetch("use_token", digest, utc(at), COARSE)

    async def revoke(self, name: str, at: datetime, by: str | None = None) -> AccessToken | None:
        rows = await self._database.fetch("revoke_token", name, utc(at), sanitised_name(by))
        return _token(rows[0]) if rows else None

    async def begin_session(self, digest: str, token: str, expires_at: datetime, *, now: datetime) -> None:
        await self._database.fetch("begin_session", digest, token, utc(expires_at))
        await self._database.fetch("prune_sessions", token, utc(now), MOST_SESSIONS)

    async def session(self, digest: str, *, now: datetime) -> tuple[AccessToken, str] | None:
        return _found(await self._database.fetch("session", digest, utc(now)))

    async def end_session(self, digest: str, *, now: datetime) -> None:
        del now  # The database has a clock.
        await self._database.fetch("end_session", digest)


def _found(rows: Sequence[Any]) -> tuple[AccessToken, str] | None:
    return (_token(rows[0]), rows[0]["digest"]) if rows else None


def _token(row: Any) -> AccessToken:
    return AccessToken(
        name=row["name"],
        role=Role(row["role"]),
        created_at=row["created_at"],
        created_by=row["created_by"],
        expires_at=row["expires_at"],
        used_at=row["used_at"],
        revoked_at=row["revoked_at"],
    )
