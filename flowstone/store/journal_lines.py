"""The lines of a journal, and what tells that one of them is not as it was written.

    {"flowstone": "journal", "version": 2, "id": "4be03f1c"}
    [2,"8f3c2d01",["run",{"id":"...",...}]]
    [3,"1b0e77aa",["events",0,[{"kind":"run.started",...}]]]

Each line is JSON: its number, a checksum in hexadecimal, and an operation. The number is the line's place in the
file, so that an editor finds it. The checksum is the CRC-32 of the number and the operation's bytes and goes on
from the checksum of the line before: a line that was removed, doubled, moved, altered or taken from another
journal fits nowhere. A beginning of a journal is a journal, because nothing in a line looks ahead.

Version 1 had no numbers, and a checksum of each line alone. It is read, and written as version 2 at once.
"""

from __future__ import annotations

import json
import random
import re
import zlib
from typing import TYPE_CHECKING, Any, Final, Protocol

from flowstone.store.json_safe import json_safe

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["VERSION", "Chain", "Damaged", "Lines", "Unnumbered", "decode_body", "encode_operation"]

VERSION: Final = 2
"""The format that is written."""

_dumps: Final = json.JSONEncoder(separators=(",", ":"), allow_nan=False, default=json_safe).encode
_HEADER: Final = b'{"flowstone": "journal", "version": 2, '
_IDENTITY: Final = re.compile(rb'"id": "[0-9a-f]{8}"\}\n')
_NUMBERED: Final = re.compile(rb'\[(\d{1,18}),"')


class Damaged(ValueError):
    """A line is not as it was written; the message says in which way."""


class Lines(Protocol):
    """How the lines of one format are opened."""

    @property
    def number(self) -> int:
        """The number of the last line; the header is line 1."""

    def open(self, line: bytes) -> bytes:
        """The bytes of the operation in the next line. Raises `Damaged`, and then is where it was."""


class Chain:
    """A place in a journal: the number of its last line, and the checksum that the next one goes on from.

    Args:
        header: The first line.
    """

    __slots__ = ("_sum", "header", "number")

    def __init__(self, header: bytes) -> None:
        self.header = header
        self.number = 1
        self._sum = zlib.crc32(header)

    @classmethod
    def new(cls) -> Chain:
        """The beginning of a journal that is like no other."""
        return cls(b'%b"id": "%08x"}\n' % (_HEADER, random.SystemRandom().getrandbits(32)))

    @classmethod
    def of(cls, header: bytes) -> Chain | None:
        """The beginning of the journal with this first line, or None if it is not one of this version."""
        return (
            cls(header) if header.startswith(_HEADER) and _IDENTITY.fullmatch(header, len(_HEADER)) else None
        )

    @staticmethod
    def torn(header: bytes) -> bool:
        """Whether this is a first line that was never finished."""
        rest = header[len(_HEADER) :]
        return _HEADER.startswith(header[: len(_HEADER)]) and len(rest) < 18 and not rest.endswith(b"\n")

    def copy(self) -> Chain:
        """The same place."""
        place = Chain(self.header)
        place.number, place._sum = self.number, self._sum
        return place

    def seal(self, bodies: Iterable[bytes]) -> bytes:
        """The lines of these operations, which come next."""
        lines = []
        for body in bodies:
            number = b"%d," % (self.number + 1)
            self._sum = zlib.crc32(body, zlib.crc32(number, self._sum))
            self.number += 1
            lines.append(b'[%b"%08x",%b]\n' % (number, self._sum, body))
        return b"".join(lines)

    def open(self, line: bytes) -> bytes:
        """See `Lines.open`."""
        number = b"%d," % (self.number + 1)
        start = 12 + len(number)
        body = line[start:-2]
        total = zlib.crc32(body, zlib.crc32(number, self._sum))
        if line[:start] != b'[%b"%08x",' % (number, total) or line[-2:] != b"]\n":
            raise Damaged(self._complaint(line))
        self.number += 1
        self._sum = total
        return body

    def _complaint(self, line: bytes) -> str:
        expected = self.number + 1
        found = _NUMBERED.match(line)
        number = expected if found is None else int(found[1])
        if number > expected:
            return f"line {number} comes here, so something was removed before it or moved"
        if number < expected:
            return f"line {number} comes here again, so it was doubled or moved"
        return "it, or a line before it, is not as it was written"


class Unnumbered:
    """The lines of version 1."""

    __slots__ = ("number",)

    def __init__(self) -> None:
        self.number = 1

    def open(self, line: bytes) -> bytes:
        """See `Lines.open`."""
        body = line[12:-2]
        if line[:12] != b'["%08x",' % zlib.crc32(body) or line[-2:] != b"]\n":
            raise Damaged("it is not as it was written")
        self.number += 1
        return body


def encode_operation(operation: Any) -> bytes:
    """The bytes of an operation. Raises ValueError if it is nested too deeply to be read back."""
    try:
        return _dumps(operation).encode("ascii")
    except RecursionError as error:
        raise ValueError(f"{operation[0]!r} is nested too deeply to be recorded; flatten it") from error


def decode_body(body: bytes) -> Any:
    """The operation of these bytes. Raises `Damaged`."""
    try:
        return json.loads(body)
    except RecursionError as error:
        raise Damaged("it is nested more deeply than this Python can read") from error
