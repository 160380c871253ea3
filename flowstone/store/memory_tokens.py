"""Access tokens and sessions, where one process holds the store."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flowstone.store.sanitise import sanitised_name
from flowstone.store.tokens import AccessTokens

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Sequence
    from datetime import datetime

    from flowstone.runs.access import AccessToken
    from flowstone.store.history import History

__all__ = ["MemoryTokens"]


class MemoryTokens(AccessTokens):
    """The tokens of a `MemoryStore`, or of a store that is one.

    Args:
        history: The state, now.
        change: Makes a change: given the operation of the journal that says it, and what applies it.
    """

    def __init__(
        self,
        history: Callable[[], History],
        change: Callable[[list[Any], Callable[[], Any]], Coroutine[Any, Any, Any]],
    ) -> None:
        self._history = history
        self._change = change

    async def add(self, token: AccessToken, digest: str) -> bool:
        from flowstone.store.token_codec import encode_token  # noqa: PLC0415 - few stores have any

        added: bool = await self._change(
            ["token", digest, encode_token(token)], lambda: self._history().tokens.add(token, digest)
        )
        return added

    async def all(self) -> Sequence[AccessToken]:
        return list(reversed(self._history().tokens.tokens.values()))

    async def find(self, digest: str) -> tuple[AccessToken, str] | None:
        found = self._history().tokens.tokens.get(digest)
        return None if found is None else (found, digest)

    async def used(self, digest: str, at: datetime) -> None:
        if self._history().tokens.is_news(digest, at):
            await self._change(
                ["token_used", digest, at.isoformat()], lambda: self._history().tokens.used(digest, at)
            )

    async def revoke(self, name: str, at: datetime, by: str | None = None) -> AccessToken | None:
        by = sanitised_name(by)
        revoked: AccessToken | None = await self._change(
            ["token_revoked", name, at.isoformat(), by], lambda: self._history().tokens.revoke(name, at, by)
        )
        return revoked

    async def begin_session(self, digest: str, token: str, expires_at: datetime, *, now: datetime) -> None:
        await self._change(
            ["session", digest, token, expires_at.isoformat(), now.isoformat()],
            lambda: self._history().tokens.begin_session(digest, token, expires_at, now),
        )

    async def session(self, digest: str, *, now: datetime) -> tuple[AccessToken, str] | None:
        return self._history().tokens.session(digest, now)

    async def end_session(self, digest: str, *, now: datetime) -> None:
        if digest in self._history().tokens.sessions:
            await self._change(
                ["session_ended", digest, now.isoformat()],
                lambda: self._history().tokens.end_session(digest, now),
            )
