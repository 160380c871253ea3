"""An object that a sensor has found, and what tells it from others."""

from __future__ import annotations

from hashlib import blake2b
from os import fsencode
from typing import TYPE_CHECKING

from flowstone.frozen import frozen

if TYPE_CHECKING:
    from datetime import datetime

__all__ = ["DIGEST", "FoundObject", "digest_of"]

DIGEST = 7
"""Bytes of a digest: that of a new object is among 100,000 others in one case of 700,000,000,000."""


@frozen
class FoundObject:
    """A file, or an object of an object store.

    Attributes:
        path: Where it is: of a file as the sensor's pattern has it, else the object's key.
        name: The last part of its path.
        size: Bytes.
        modified: When it was changed last, by the clock of whoever keeps it (aware, UTC).
        etag: What the store calls this state of the object; None: it calls it nothing, as with files.
        version: Its version, where the store keeps several.
    """

    path: str
    name: str
    size: int
    modified: datetime
    etag: str | None = None
    version: str | None = None


def digest_of(path: str, *state: object) -> bytes:
    """What tells an object, in a state, from all others.

    Args:
        path: Where it is.
        state: Numbers and texts that change when it does.
    """
    return blake2b(b"\0".join([fsencode(path), repr(state).encode()]), digest_size=DIGEST).digest()
