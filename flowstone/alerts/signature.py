"""Signatures of webhooks, as standardwebhooks.com has them: over the message's id, the time and the body.

    webhook-id          the same whenever the same event is sent again
    webhook-timestamp   seconds since 1970 when this was sent
    webhook-signature   v1,<base64 of the HMAC-SHA256 of "id.timestamp.body">

The time is signed with the rest, so that what somebody has recorded cannot be sent again later.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from typing import TYPE_CHECKING, Any, Final

from flowstone.assets.arguments import are_texts, is_number, is_whole
from flowstone.errors import ArgumentError, FlowstoneError

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["ID", "SIGNATURE", "TIMESTAMP", "SignatureError", "key_of", "sign", "verify_signature"]

ID: Final = "webhook-id"
TIMESTAMP: Final = "webhook-timestamp"
SIGNATURE: Final = "webhook-signature"

_PREFIX: Final = b"whsec_"
_VERSION: Final = "v1"


class SignatureError(FlowstoneError):
    """A webhook was not sent by who has the secret, or not now."""


def key_of(secret: str | bytes) -> bytes:
    """The bytes of a secret: of `whsec_…`, a text or bytes, what its base64 says, otherwise itself.

    Raises:
        ArgumentError: It is neither text nor bytes, it is empty, or no base64 follows the prefix.
    """
    given: object = secret
    if not isinstance(given, str | bytes):
        raise ArgumentError(f"the secret is of type {type(given).__name__}, and has to be a str or bytes")
    key = _bytes_of(secret) if isinstance(secret, str) else secret
    if key.startswith(_PREFIX):
        try:
            key = base64.b64decode(key.removeprefix(_PREFIX), validate=True)
        except binascii.Error:
            raise ArgumentError("what follows `whsec_` in the secret is no base64") from None
    if not key:
        raise ArgumentError("the secret is empty")
    return key


def sign(secret: str | bytes, id: str, timestamp: int, body: bytes) -> str:  # noqa: A002 - the standard's word
    """The signature of a message, for the header `webhook-signature`.

    Args:
        secret: What sender and receiver share.
        id: The message's id.
        timestamp: Seconds since 1970.
        body: The body, as it is sent.

    Raises:
        ArgumentError: The secret cannot be one, or another argument is of another type.
    """
    named: object = id
    if not (
        isinstance(named, str) and is_whole(timestamp) and isinstance(body, bytes | bytearray | memoryview)
    ):
        raise ArgumentError(
            "sign() takes the id as text, the timestamp as whole seconds and the body as bytes."
        )
    signed = b".".join((_bytes_of(id), str(timestamp).encode(), body))
    digest = hmac.new(key_of(secret), signed, hashlib.sha256).digest()
    return f"{_VERSION},{base64.b64encode(digest).decode()}"


def verify_signature(
    secret: str | bytes, headers: Mapping[str, str], body: bytes, *, now: float, tolerance: float = 300.0
) -> str:
    """Check who has sent a webhook, before anything of it is believed.

    Args:
        secret: What sender and receiver share.
        headers: The headers of the request; their names in any case.
        body: Its body, as it came.
        now: Seconds since 1970: `time.time()`.
        tolerance: Seconds that the time of sending may be away from now.

    Returns:
        The message's id, by which one that comes twice is known.

    Raises:
        SignatureError: It is not signed with the secret, or was sent at another time.
        ArgumentError: The secret cannot be one, or another argument is of another type.
    """
    if not is_number(now) or not is_number(tolerance):  # Nothing is late by a clock that is no number.
        raise ArgumentError(
            f"now={now!r:.50} and tolerance={tolerance!r:.50} take seconds, such as time.time()."
        )
    given = _by_name(headers)
    if missing := [name for name in (ID, TIMESTAMP, SIGNATURE) if name not in given]:
        raise SignatureError(f"The request has no header {missing[0]}: it is no signed webhook.")
    try:
        timestamp = int(given[TIMESTAMP])
    except ValueError:
        raise SignatureError(f"The header {TIMESTAMP} is no number of seconds.") from None
    expected = sign(secret, given[ID], timestamp, body).encode()
    # All are compared, each in constant time: there may be several while a secret is replaced.
    found = [hmac.compare_digest(expected, _bytes_of(each)) for each in given[SIGNATURE].split(" ")]
    if not any(found):
        raise SignatureError("The request is not signed with this secret.")
    if abs(now - timestamp) > tolerance:
        raise SignatureError(f"The request was sent {now - timestamp:.0f} s ago: it may be a repetition.")
    return given[ID]


def _by_name(headers: Any) -> dict[str, str]:
    """Of whatever keeps headers: those of `http.server` are no mapping, and have the items of one."""
    try:
        given = {name.lower(): value for name, value in headers.items()}
    except (AttributeError, TypeError, ValueError):
        given = None
    if not are_texts(given):
        raise ArgumentError(
            "verify_signature() takes the headers of the request, a mapping of texts to texts."
        )
    return given or {}


def _bytes_of(text: str) -> bytes:
    """Of any text that a request may have, halves of characters included: they match nothing that is signed."""
    return text.encode("utf-8", "surrogatepass")
