"""The journal on disk: a text file of checked lines that is only ever appended to.

    {"flowstone": "journal", "version": 1}
    ["8f3c2d01",["run",{"id":"...",...}]]
    ["1b0e77aa",["events",0,[{"kind":"run.started",...}]]]

Each line is JSON: the CRC-32 of the operation's bytes, in hexadecimal, and the operation. A last line without
its newline was being written when the process died; nobody was told that it was recorded, so it is cut off.
Any other line that is not as it was written means damage, and damage is reported, never skipped.
"""

from __future__ import annotations

import errno
import json
import os
import zlib
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from flowstone.errors import StoreUnavailable
from flowstone.store.json_safe import json_safe

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

__all__ = ["JournalFile", "encode_line", "read_lines", "rewrite"]

_VERSION: Final = 1
_HEADER: Final = b'{"flowstone": "journal", "version": 1}\n'
_dumps: Final = json.JSONEncoder(separators=(",", ":"), allow_nan=False, default=json_safe).encode


def encode_line(operation: Any) -> bytes:
    """One operation as a line."""
    body = _dumps(operation).encode("ascii")
    return b'["%08x",%b]\n' % (zlib.crc32(body), body)


def read_lines(path: Path, take: Callable[[Any], None]) -> int:
    """Give every operation of a journal to `take`; returns where the last whole line ends, in bytes.

    A missing file is an empty journal. Raises `StoreUnavailable`, naming the line, for damage, for a format
    this release does not know, and for a ValueError that `take` raises; OSError if the disk does not answer.
    """
    if not path.exists():
        return 0
    with path.open("rb") as file:
        end = _read_header(path, file.readline())
        for number, line in enumerate(file, 2):
            if not line.endswith(b"\n"):
                break
            try:
                take(_decode_line(line))
            except ValueError as error:
                raise StoreUnavailable(_damage(path, number, str(error))) from error
            end += len(line)
    return end


def rewrite(path: Path, operations: Iterable[Any]) -> int | None:
    """Put other operations in place of a journal's, all or none.

    Returns the new length in bytes, or None if the disk has no room for it: the journal is as it was. Raises
    OSError if the change may not be durable.
    """
    new = _successor(path)
    try:
        with new.open("wb") as file:
            file.write(_HEADER)
            file.writelines(map(encode_line, operations))
            file.flush()
            os.fsync(file.fileno())
            length = file.tell()
    except OSError:
        return None  # What was written of it goes when the journal is opened.
    new.replace(path)
    _sync_directory(path.parent)
    return length


class JournalFile:
    """A journal open for appending.

    Args:
        path: The file; made if it is missing.
        end: Where its last whole line ends (`read_lines`); what is behind is cut off.
    """

    def __init__(self, path: Path, end: int) -> None:
        self._end = end
        with suppress(OSError):  # Of a process that died while it rewrote the journal.
            _successor(path).unlink()
        flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | getattr(os, "O_BINARY", 0)
        self._file = os.open(path, flags, 0o666)
        try:
            self._clean = os.fstat(self._file).st_size == end
            self._cut()
            if end == 0:
                self.append(_HEADER)
                _sync_directory(path.parent)
        except BaseException:
            self.close()
            raise

    def append(self, lines: bytes) -> None:
        """Write whole lines and wait until the disk has them. On an OSError nothing is appended."""
        self._cut()
        self._clean = False
        try:
            self._write(lines)
            os.fsync(self._file)
        except OSError:
            with suppress(OSError):  # If the disk refuses even that, the next append does it first.
                self._cut()
            raise
        self._end += len(lines)
        self._clean = True

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)

    def _cut(self) -> None:
        if not self._clean:
            os.ftruncate(self._file, self._end)
            self._clean = True

    def _write(self, data: bytes) -> None:
        rest = memoryview(data)
        while rest:
            written = os.write(self._file, rest)
            if written == 0:
                raise OSError(errno.EIO, os.strerror(errno.EIO))
            rest = rest[written:]


def _successor(path: Path) -> Path:
    return path.with_name(path.name + ".new")


def _read_header(path: Path, line: bytes) -> int:
    if line == _HEADER:
        return len(line)
    if _HEADER.startswith(line):  # Empty, or the process died while it made the file.
        return 0
    with suppress(ValueError, AttributeError):
        if int(json.loads(line).get("version", 0)) > _VERSION:
            raise StoreUnavailable(
                f"a newer FlowStone wrote {path} (format {json.loads(line)['version']}, this release reads "
                f"{_VERSION}); upgrade FlowStone, or use another directory"
            )
    raise StoreUnavailable(f"{path} is not a journal of FlowStone; move it away, or use another directory")


def _decode_line(line: bytes) -> Any:
    body = line[12:-2]
    try:
        intact = (
            line[:2] == b'["'
            and line[10:12] == b'",'
            and line[-2:] == b"]\n"
            and int(line[2:10], 16) == zlib.crc32(body)
        )
    except ValueError:
        intact = False
    if not intact:
        raise ValueError("it is not as it was written")
    return json.loads(body)


def _damage(path: Path, number: int, what: str) -> str:
    return (
        f"cannot read {path}, line {number}: {what}; restore the file from a copy, or keep a copy and delete "
        "that line, which loses what it recorded"
    )


def _sync_directory(directory: Path) -> None:
    """Make a new name durable, where the system can."""
    if os.name == "nt":
        return
    file = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(file)
    finally:
        os.close(file)
