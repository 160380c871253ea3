"""Access tokens and sessions, as a store without a database remembers them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from flowstone.runs.audit import Act, AuditTarget
from flowstone.store.tokens import COARSE, MOST_SESSIONS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from flowstone.runs.access import AccessToken
    from flowstone.runs.audit import AuditAction
    from flowstone.store.audit_log import AuditLog

__all__ = ["TokenLedger"]


class TokenLedger:
    """Plain state, changed at once; see `AccessTokens` for what each call promises.

    Args:
        audit: Where is noted who makes, revokes and uses tokens.

    Attributes:
        tokens: By digest, in the order they were added.
        sessions: By digest: the token's digest, and when it is over; in the order they began.
    """

    def __init__(self, audit: AuditLog) -> None:
        self._audit = audit
        self.tokens: dict[str, AccessToken] = {}
        self.sessions: dict[str, tuple[str, datetime]] = {}

    def __len__(self) -> int:
        return len(self.tokens) + len(self.sessions)

    def add(self, token: AccessToken, digest: str) -> bool:
        """Remember a token."""
        if digest in self.tokens:
            return True
        if token.revoked_at is None and any(True for _ in self._named(token.name)):
            return False
        self.tokens[digest] = token
        act = Act(token.created_at, token.created_by)
        self._audit.add("token.created", act, AuditTarget(name=token.name), {"role": token.role.value})
        return True

    def used(self, digest: str, at: datetime) -> None:
        """Note a use."""
        if self.is_news(digest, at):
            self.tokens[digest] = replace(self.tokens[digest], used_at=at)

    def is_news(self, digest: str, at: datetime) -> bool:
        """Whether a use is worth noting."""
        token = self.tokens.get(digest)
        return token is not None and (token.used_at is None or at - token.used_at >= COARSE)

    def revoke(self, name: str, at: datetime, by: str | None = None) -> AccessToken | None:
        """Revoke the token of this name."""
        for digest in self._named(name):
            self.tokens[digest] = revoked = replace(self.tokens[digest], revoked_at=at)
            for session in self._sessions_of(digest):
                del self.sessions[session]
            self._audit.add("token.revoked", Act(at, by), AuditTarget(name=name))
            return revoked
        return None

    def begin_session(self, digest: str, token: str, expires_at: datetime, now: datetime | None) -> None:
        """Remember a session; without `now`, one of a former life, and the others stay."""
        if now is not None:
            for session in [each for each, (_, over) in self.sessions.items() if over <= now]:
                del self.sessions[session]
            present = [each for each in self._sessions_of(token) if each != digest]
            for session in present[: max(0, len(present) - MOST_SESSIONS + 1)]:
                del self.sessions[session]
            if digest not in self.sessions:
                self._of_session("session.begun", token, now)
        self.sessions[digest] = token, expires_at

    def session(self, digest: str, now: datetime) -> tuple[AccessToken, str] | None:
        """The token of a session."""
        token, over = self.sessions.get(digest, ("", now))
        found = self.tokens.get(token)
        return None if found is None or over <= now or found.revoked_at is not None else (found, token)

    def end_session(self, digest: str, now: datetime | None) -> None:
        """Forget a session; an older journal does not say when."""
        token, _ = self.sessions.pop(digest, ("", now))
        if token and now is not None:
            self._of_session("session.ended", token, now)

    def _of_session(self, action: AuditAction, token: str, now: datetime) -> None:
        known = self.tokens.get(token)
        if known is not None:
            self._audit.add(action, Act(now, known.name), AuditTarget(name=known.name))

    def _named(self, name: str) -> Iterator[str]:
        """The digest of the token that has this name and is not revoked, if there is one."""
        return (
            digest for digest, each in self.tokens.items() if each.name == name and each.revoked_at is None
        )

    def _sessions_of(self, token: str) -> list[str]:
        return [digest for digest, (of, _) in self.sessions.items() if of == token]
