"""Where a value lies: `asset/key/run-attempt.digest.suffix`, a path below FileIO's root or a row of PostgresIO.

A location is that relative path and nothing else, so any process with the same root can load it and a person
can find the file or the row. It carries what loading needs: the suffix names the codec, the digest tells damaged
bytes from good ones. A location comes back from the run store, so it is read as untrusted text: exactly three
safe names.
"""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING, Final

from flowstone.frozen import frozen
from flowstone.io.file_names import MOST_BYTES, SAFE_NAME, escape

if TYPE_CHECKING:
    from typing import Self

    from flowstone.io.manager import Target

__all__ = ["Location", "digest_of"]

# 128 bits of the SHA-256: damage has no chance to go unseen, and the name stays short enough to read.
_DIGEST_LETTERS: Final = 32
_RUN_BYTES: Final = 120
# The name of the file is a safe name as well: letters that are, with a dot between any two of its parts.
_LOCATION: Final = re.compile(
    rf"({SAFE_NAME})/({SAFE_NAME})/"
    r"([a-z0-9_+%~][a-z0-9_+%~-]*\.([0-9a-f]{32})\.([a-z0-9-]+(?:\.[a-z0-9-]+)*))"
)


def digest_of(data: bytes) -> str:
    """The SHA-256 of `data` in hexadecimal."""
    return hashlib.sha256(data).hexdigest()


@frozen
class Location:
    """A file's folders and name below the root.

    Attributes:
        folders: The asset's folder and in it the partition's.
        name: The file's name.
        digest: The first half of the content's SHA-256.
        suffix: Names the codec that wrote the file.
    """

    folders: tuple[str, str]
    name: str
    digest: str
    suffix: str

    @classmethod
    def of(cls, target: Target, digest: str, suffix: str) -> Self:
        """Where the content with this SHA-256 goes that `target` stored."""
        digest = digest[:_DIGEST_LETTERS]
        attempt = f"{escape(target.run_id, limit=_RUN_BYTES)}-{target.attempt}"
        return cls(
            (escape(target.asset), escape(target.partition_key)),
            f"{attempt}.{digest}.{suffix}",
            digest,
            suffix,
        )

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """The location that `text` spells, or None if no `Location` is spelled like that."""
        match = _LOCATION.fullmatch(text)
        if match is None:
            return None
        asset, key, name, digest, suffix = match.groups()
        if max(len(asset), len(key), len(name)) > MOST_BYTES:
            return None
        return cls((asset, key), name, digest, suffix)

    def __str__(self) -> str:
        return "/".join((*self.folders, self.name))

    def matches(self, data: bytes) -> bool:
        """Whether `data` is, byte for byte, what was stored here."""
        return digest_of(data).startswith(self.digest)
