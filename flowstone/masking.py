"""Text without secrets: what a URL, a connection string or an error carries of passwords is shown as `***`.

Used wherever text comes out that somebody else has put together: errors of drivers, tracebacks, log
lines, settings. It knows the shapes that secrets come in, and takes those that are known exactly.

A password in a URL may hold any character, escaped or not. Where the scheme is a database's or a broker's,
everything up to the last `@` counts as such; of a web address, which has other uses for that character, only what
the standard calls a password.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["MASK", "is_secret_name", "masked", "without_secrets"]

MASK: Final = "***"

# Lengths are bounded, or a megabyte without a blank would take hours.
_WEB: Final = re.compile(
    r"(\b(?:https?|wss?|s?ftp)://[^\s/@?#:]{0,200}:)[^\s/@?#]{1,500}(?=@)", re.IGNORECASE
)
_SERVER: Final = re.compile(
    r"(\b(?!(?:https?|wss?|s?ftp|file)://)[a-z][a-z0-9+.-]{0,30}://[^\s:@/\"'<>]{0,200}:)"
    r"(?-i:(?!PASSWORD@))[^\s\"'<>]{1,500}(?=@)",  # But for the one of our own examples.
    re.IGNORECASE,
)
_WORDS: Final = (
    r"(?:pg|ssl)?(?:password|passwd)|passphrase|secret_?(?:access_?)?key|(?:api|private)_?key|"
    r"(?:client_?)secret|(?:auth|access|refresh|bearer|id)_?token"
)
_VALUE: Final = r"""(?:"[^"\n]{1,500}"|'[^'\n]{1,500}'|[^\s&;,)"'\]}]{1,500})"""
_ASSIGNED: Final = re.compile(rf"((?<![a-z])(?:{_WORDS})\s?=\s?){_VALUE}", re.IGNORECASE)
_KEYED: Final = re.compile(
    rf"((?P<quote>[\"'])(?:{_WORDS}|token|secret)(?P=quote)\s?:\s?){_VALUE}", re.IGNORECASE
)
_QUERY: Final = re.compile(rf"([?&](?:{_WORDS}|token|secret|key)=){_VALUE}", re.IGNORECASE)
_BARE: Final = re.compile(rf"((?<![a-z_])(?:token|secret)=){_VALUE}", re.IGNORECASE)
_HEADER: Final = re.compile(
    r"(\b(?:proxy-)?authorization[\"']?\s?[:=]\s?[\"']?(?:(?:bearer|basic|token|digest)\s)?|\bbearer\s(?=[a-z._-]{0,200}\d))"
    r"[^\s\"',;]{8,4000}",
    re.IGNORECASE,
)
_SECRET_NAMES: Final = frozenset(
    {
        "password",
        "passwd",
        "pwd",
        "passphrase",
        "secret",
        "token",
        "authorization",
        "credential",
        "credentials",
        "cookie",
    }
)
_SECRET_KEYS: Final = frozenset({"api", "access", "private", "secret", "signing", "encryption"})
_PARTS: Final = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])")
_OURS: Final = re.compile(r"\b(fs[st]_)[A-Za-z0-9_-]{43}")  # Access tokens and sessions of the HTTP server.
_HINTS: Final = ("passw", "passphrase", "key", "token", "secret", "authorization", "bearer")
_SHORTEST: Final = 3  # A secret of one letter is not worth the alphabet.


def masked(text: str, secrets: Iterable[str] = ()) -> str:
    """The text with secrets shown as `***`.

    Args:
        text: Any text.
        secrets: Those that are known exactly.
    """
    for secret in secrets:
        if len(secret) >= _SHORTEST:
            text = text.replace(secret, MASK)
    if "@" in text and "://" in text:  # Both shapes end with it.
        text = _SERVER.sub(rf"\g<1>{MASK}", _WEB.sub(rf"\g<1>{MASK}", text))
    if "fst_" in text or "fss_" in text:
        text = _OURS.sub(rf"\g<1>{MASK}", text)
    lowered = text.lower()
    if any(hint in lowered for hint in _HINTS):  # Nearly no text has one, and this is much quicker to see.
        for shape in (_HEADER, _ASSIGNED, _BARE, _KEYED, _QUERY):
            text = shape.sub(rf"\g<1>{MASK}", text)
    return text


def is_secret_name(name: str) -> bool:
    """Whether a field so called holds a secret: `refresh_token`, `clientSecret`, `api-key`; not `token_count`."""
    parts = [each.lower() for each in _PARTS.findall(name)]
    if not parts:
        return False
    last, before = parts[-1], parts[-2] if len(parts) > 1 else ""
    return last in _SECRET_NAMES or last == "apikey" or (last == "key" and before in _SECRET_KEYS)


def without_secrets(value: Any, name: str = "") -> Any:
    """JSON with stars for what looks like a password: a URL may have one, and so may a field of that name.

    Args:
        value: What JSON has, such as the fields of a config.
        name: What it is called.
    """
    match value:
        case str() if value and is_secret_name(name):
            return MASK
        case str():
            return masked(f"{name}={value}")[len(name) + 1 :]
        case dict():
            return {key: without_secrets(each, str(key)) for key, each in value.items()}
        case list():
            return [without_secrets(each, name) for each in value]
        case _:
            return value
