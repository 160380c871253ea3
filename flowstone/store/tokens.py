"""The port to access tokens and to the sessions of browsers that were begun with one.

A store has only digests (SHA-256). What they are digests of is 256 random bits, which nobody finds by trying, so
nothing slower is needed; and who reads a store learns nothing that opens a server.

Promises, each stated by the contract suite in `tests/store/tokens_contract.py`:

* Of those that are not revoked no two tokens have the same name, however many are added at once.
* Nothing is found by the session of a token that was revoked, from the moment at which `revoke` has returned.
* A session is found until it is over or ended, by whatever node of the store.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from flowstone.runs.access import AccessToken

__all__ = ["COARSE", "MOST_SESSIONS", "AccessTokens"]

COARSE: Final = timedelta(minutes=1)
"""Within it, a use after another one is not noted."""

MOST_SESSIONS: Final = 100
"""Of one token; the oldest ends with the next one."""


class AccessTokens(Protocol):
    """Tokens and sessions. Every call may raise `StoreUnavailable`; each is safe to repeat."""

    async def add(self, token: AccessToken, digest: str) -> bool:
        """Remember a token; False, and nothing has changed, if one that is not revoked has its name."""

    async def all(self) -> Sequence[AccessToken]:
        """Every token, the newest first, the revoked ones too."""

    async def find(self, digest: str) -> tuple[AccessToken, str] | None:
        """The token of a digest, with the digest that it has; also if it is revoked or over."""

    async def used(self, digest: str, at: datetime) -> None:
        """Note that a token was used, unless it was within `COARSE` before."""

    async def revoke(self, name: str, at: datetime, by: str | None = None) -> AccessToken | None:
        """Have a token be worth nothing from now on, and end its sessions; None if there is none of that name.

        Args:
            name: Its name.
            at: When.
            by: Who has it revoked.
        """

    async def begin_session(self, digest: str, token: str, expires_at: datetime, *, now: datetime) -> None:
        """Remember a session of a token; those that are over are forgotten.

        Args:
            digest: That of the session's own secret.
            token: The digest of the token.
            expires_at: When it is over.
            now: This instant.
        """

    async def session(self, digest: str, *, now: datetime) -> tuple[AccessToken, str] | None:
        """The token by which a session was begun, with its digest, while the session lasts."""

    async def end_session(self, digest: str, *, now: datetime) -> None:
        """Forget a session, if there is one."""
