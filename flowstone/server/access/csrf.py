"""The proof that a change was asked for by a page of ours: a word that only such a page knows.

It is derived from a cookie that no script can read, so any server that gets the cookie can check it and none has to
remember it. A page carries it in `<meta name="csrf">`, from where `flowstone.js` adds it to what it sends, and in
the hidden field of a form that works without scripts.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qsl

from fastapi import HTTPException

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.requests import Request

__all__ = ["FIELD", "HEADER", "csrf_of", "form_of", "is_secret", "prove"]

HEADER: Final = "X-CSRF-Token"
FIELD: Final = "csrf"

_FORM: Final = "application/x-www-form-urlencoded"
_SECRET: Final = re.compile(r"[A-Za-z0-9_-]{43,64}")
_FIELDS: Final = 10_000


def is_secret(text: str) -> bool:
    """Whether it may be a cookie of ours."""
    return _SECRET.fullmatch(text) is not None


def csrf_of(secret: str) -> str:
    """The word that belongs to a cookie; the cookie cannot be found from it."""
    return hmac.new(secret.encode(), b"flowstone csrf", hashlib.sha256).hexdigest()


async def form_of(request: Request) -> Mapping[str, str]:
    """The fields of a form, of each the last; empty if it is none.

    Raises:
        HTTPException: It cannot be read (400).
    """
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != _FORM:
        return {}
    body = await request.body()
    try:
        fields = parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=_FIELDS, errors="strict")
    except ValueError:
        raise HTTPException(400, "The fields of the form cannot be read.") from None
    if any("\x00" in name or "\x00" in text for name, text in fields):
        raise HTTPException(400, "The form has a NUL in it, which is in no name and no text.")
    return dict(fields)


async def prove(request: Request, secret: str) -> None:
    """Check that a request carries the word that belongs to its cookie, in a header or as a field of its form.

    Raises:
        HTTPException: It does not (403).
    """
    given = request.headers.get(HEADER) or (await form_of(request)).get(FIELD, "")
    if not secret or not hmac.compare_digest(given.encode(), csrf_of(secret).encode()):
        raise HTTPException(
            403,
            f"A browser proves that a page of this server asks: send `{HEADER}` with the content of the page's "
            f'`<meta name="{FIELD}">`, or load the page again.',
        )
