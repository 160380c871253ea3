"""One file name for every key: different keys never share a name, on any file system.

A name must survive file systems that fold case (Windows, macOS), that normalise unicode (macOS), that reserve
words such as CON (Windows) and that stop at 255 bytes. So a name is made of lower-case ASCII only:

* `a-z`, `0-9`, `_` and `-` stand for themselves (but a leading `-`, which tools take for an option);
* `+a` stands for `A`;
* `%3a` stands for one byte of the key's UTF-8, here `:`; dots are written this way too, so that no name is
  hidden, `.`, `..`, or ends in a dot;
* a reserved word has its first letter written as a byte: `%63on`;
* `~` marks what is not a plain key: `~none` (no key), `~empty` (the empty key), and `prefix~<sha256>` for a
  key whose name would be too long. Two keys share such a name only if they share a SHA-256.

Rejected: `urllib.parse.quote` (keeps case and `.`), base32 of everything (nobody can read the folder), and
plain hashing (same).
"""

from __future__ import annotations

import hashlib
import re
from functools import lru_cache
from types import MappingProxyType
from typing import Final

__all__ = ["MAX_NAME_BYTES", "MOST_BYTES", "SAFE_NAME", "escape", "is_safe_name"]

MAX_NAME_BYTES: Final = 200
"""Bytes in the longest name `escape` returns by default; file systems allow 255, the rest is for suffixes."""

MOST_BYTES: Final = 255
"""Bytes in the longest name that file systems allow."""

SAFE_NAME: Final = r"[a-z0-9_+%~][a-z0-9_+%~-]*(?:\.[a-z0-9_+%~-]+)*"
"""The regular expression for names of which `is_safe_name` is true, if they are not too long."""

_LITERAL: Final = frozenset("abcdefghijklmnopqrstuvwxyz0123456789_-")
_UPPER: Final = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZ")
_RESERVED: Final = frozenset(
    {"con", "prn", "aux", "nul", *(f"com{n}" for n in range(10)), *(f"lpt{n}" for n in range(10))}
)
_HASH_BYTES: Final = 1 + 64
_PLAIN: Final = re.compile(r"[a-z0-9_][a-z0-9_-]*")
_SAFE: Final = re.compile(SAFE_NAME)


@lru_cache(maxsize=4_096)  # Each step of a run names the run, its asset and its partition again.
def escape(key: str | None, *, limit: int = MAX_NAME_BYTES) -> str:
    """The file name that stands for `key`, and for no other key.

    Args:
        key: Any text, lone surrogates included, or None for "no key", which differs from every text.
        limit: Bytes the name may have, at least 80; a longer name ends in the key's hash instead.

    Returns:
        Lower-case ASCII without separators, never empty, hidden, reserved, or longer than `limit`.
    """
    if key is None:
        return "~none"
    if not key:
        return "~empty"
    if len(key) <= limit and _PLAIN.fullmatch(key) and key not in _RESERVED:
        return key
    if len(key) <= limit:
        name = key.encode("utf-8", "surrogatepass").decode("latin-1").translate(_NAMES)
        if key[0] == "-" or key in _RESERVED:
            name = _as_bytes(key[0]) + name[1:]
        if len(name) <= limit:
            return name
    return _shortened(key, limit)


def is_safe_name(name: str) -> bool:
    """Whether `name` can only mean an entry of the folder it is looked up in: no separators, no `..`."""
    return len(name) <= MOST_BYTES and _SAFE.fullmatch(name) is not None


def _token(character: str) -> str:
    if character in _LITERAL:
        return character
    return f"+{character.lower()}" if character in _UPPER else _as_bytes(character)


def _as_bytes(character: str) -> str:
    return "".join(f"%{byte:02x}" for byte in character.encode("utf-8", "surrogatepass"))


def _shortened(key: str, limit: int) -> str:
    """The name of a key that is too long: as many whole characters as there is room for, and the key's hash."""
    room = limit - _HASH_BYTES
    prefix = ""
    for place, character in enumerate(key):
        token = _as_bytes(character) if character == "-" and not place else _token(character)
        if len(prefix) + len(token) > room:
            break
        prefix += token
    return f"{prefix}~{hashlib.sha256(key.encode('utf-8', 'surrogatepass')).hexdigest()}"


# By byte of the key's UTF-8; all but the first 128 stand for parts of characters.
_NAMES: Final = MappingProxyType(
    {byte: _token(chr(byte)) if byte < 128 else f"%{byte:02x}" for byte in range(256)}
)
