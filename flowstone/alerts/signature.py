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
from typing import TYPE_CHECKING, Final

from flowstone.errors import FlowstoneError

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
        ValueError: It is empty, or no base64 follows the prefix.
    """
    key = secret.encode() if isinstance(secret, str) else bytes(secret)
    if key.startswith(_PREFIX):
        try:
            key = base64.b64decode(key.removeprefix(_PREFIX), validate=True)
        except binascii.Error:
            raise ValueError("what follows `whsec_` in the secret is no base64") from None
    if not key:
        raise ValueError("the secret is empty")
    return key


def sign(secret: str | bytes, id: str, timestamp: int, body: bytes) -> str:  # noqa: A002 - the standard's word
    """The signature of a message, for the header `webhook-signature`.

    Args:
        secret: What sender and receiver share.
        id: The message's id.
        timestamp: Seconds since 1970.
        body: The body, as it is sent.

    Raises:
        ValueError: The secret cannot be one.
    """
    signed = b".".join((id.encode(), str(timestamp).encode(), body))
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
        ValueError: The secret cannot be one.
    """
    given = {name.lower(): value for name, value in headers.items()}
    if missing := [name for name in (ID, TIMESTAMP, SIGNATURE) if name not in given]:
        raise SignatureError(f"The request has no header {missing[0]}: it is no signed webhook.")
    try:
        timestamp = int(given[TIMESTAMP])
    except ValueError:
        raise SignatureError(f"The header {TIMESTAMP} is no number of seconds.") from None
    expected = sign(secret, given[ID], timestamp, body).encode()
    # All are compared, each in constant time: there may be several while a secret is replaced.
    found = [hmac.compare_digest(expected, each.encode()) for each in given[SIGNATURE].split(" ")]
    if not any(found):
        raise SignatureError("The request is not signed with this secret.")
    if abs(now - timestamp) > tolerance:
        raise SignatureError(f"The request was sent {now - timestamp:.0f} s ago: it may be a repetition.")
    return given[ID]
