"""Tokens made, shown and revoked, whoever asks for it: a runtime, or a command that has only the store.

A token is `fst_` and 256 random bits; the session of a browser is `fss_` and as many. Both are told apart from
other secrets by how they begin, so that tools which search for what was published by mistake can be taught them.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

from flowstone.errors import AccessTokenNotFound, AccessTokenTaken, ArgumentError
from flowstone.printable import one_line
from flowstone.runs.access import AccessToken, Role

if TYPE_CHECKING:
    from flowstone.store.protocol import Store

__all__ = [
    "LOCAL",
    "SESSION_LASTS",
    "TOKEN",
    "begin_session",
    "create_token",
    "end_session",
    "holder",
    "revoke_token",
]

LOCAL: Final = "local"
"""What whoever asks from the server's own machine is called; no token has this name."""

SESSION_LASTS: Final = timedelta(days=7)
"""How long a browser is logged in, unless its token is over or revoked before."""

TOKEN: Final = "fst_"  # noqa: S105 - how each begins, and no secret
_SESSION: Final = "fss_"
_SECRET: Final = re.compile(rf"(?:{TOKEN}|{_SESSION})[A-Za-z0-9_-]{{43}}")
_NAME: Final = re.compile(r"\w[\w.@+-]{0,99}")


async def create_token(
    store: Store,
    name: str,
    role: str,
    *,
    now: datetime,
    by: str | None = None,
    expires: datetime | timedelta | None = None,
) -> tuple[str, AccessToken]:
    """Make a token: itself, which is to be found nowhere else from now on, and what is remembered of it.

    Raises:
        ArgumentError: It cannot have that name, that role or that end.
        AccessTokenTaken: A token that is not revoked has that name.
    """
    token = AccessToken(_name(name), _role(role), now, by, _end(expires, now))
    secret = TOKEN + secrets.token_urlsafe(32)
    if not await store.tokens.add(token, _digest(secret)):
        raise AccessTokenTaken(
            f"There is a token {name} already: give this one another name, or revoke that one."
        )
    return secret, token


async def revoke_token(store: Store, name: str, *, now: datetime, by: str | None = None) -> AccessToken:
    """Have a token be worth nothing from now on. Raises `AccessTokenNotFound`."""
    revoked = await store.tokens.revoke(name, now, by)
    if revoked is None:
        raise AccessTokenNotFound(
            f"There is no token {one_line(name)} that could be revoked; list those that there are."
        )
    return revoked


async def holder(store: Store, secret: str, *, now: datetime) -> AccessToken | None:
    """The token that this is, or by which this session was begun, if it is worth anything; notes its use."""
    if _SECRET.fullmatch(secret) is None:
        return None
    digest = _digest(secret)
    if secret.startswith(TOKEN):
        found = await store.tokens.find(digest)
        # The look-up compares digests byte by byte; how long it took says nothing of a token, and this is exact.
        if found is None or not hmac.compare_digest(found[1], digest):
            return None
    else:
        found = await store.tokens.session(digest, now=now)
    if found is None or not found[0].usable(now):
        return None
    await store.tokens.used(found[1], now)
    return found[0]


async def begin_session(store: Store, secret: str, *, now: datetime) -> str | None:
    """Log a browser in by a token: the secret of its session; None if the token is worth nothing."""
    token = await holder(store, secret, now=now) if secret.startswith(TOKEN) else None
    if token is None:
        return None
    session = _SESSION + secrets.token_urlsafe(32)
    over = now + SESSION_LASTS
    if token.expires_at is not None:
        over = min(over, token.expires_at)
    await store.tokens.begin_session(_digest(session), _digest(secret), over, now=now)
    return session


async def end_session(store: Store, secret: str, *, now: datetime) -> None:
    """Log a browser out."""
    if _SECRET.fullmatch(secret) is not None:
        await store.tokens.end_session(_digest(secret), now=now)


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


def _name(name: object) -> str:
    if not isinstance(name, str) or _NAME.fullmatch(name) is None or name == LOCAL:
        raise ArgumentError(
            "The name of a token is up to 100 letters, digits and `. _ - + @`, begins with a letter or a digit, "
            f"and is not {LOCAL!r}; that is whoever asks from the server's own machine."
        )
    return name


def _role(role: str) -> Role:
    try:
        return Role(role)
    except ValueError:
        raise ArgumentError(f"A role is {', '.join(Role)}, not {one_line(str(role))}.") from None


def _end(expires: datetime | timedelta | None, now: datetime) -> datetime | None:
    if isinstance(expires, timedelta):
        try:
            expires = now + expires
        except OverflowError:
            raise ArgumentError("expires= is later than any date; leave it out.") from None
    return None if expires is None else _instant(expires, now)


def _instant(expires: object, now: datetime) -> datetime:
    if not isinstance(expires, datetime) or expires.tzinfo is None:
        raise ArgumentError("expires= is a timedelta, or an instant with a time zone.")
    if expires <= now:
        raise ArgumentError("expires= is over already: give an instant to come.")
    return expires
