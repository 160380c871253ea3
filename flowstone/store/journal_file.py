"""The journal on disk, open for appending: lines are durable and still in the journal before anybody is told.

An open file outlives its name. Whoever removes the directory, puts another file in the journal's place (as
`sed -i` does) or shortens it would otherwise let every later write go into nothing and be acknowledged. So each
append asks, before it writes and before it returns, whether the file at the path is the open one and as long as
it was left; and whether the lock is still the one that others would meet. That is twelve questions to the system,
about twenty microseconds, beside the milliseconds of an fsync. What they find is final: nobody knows what became
of the lines, so nothing more is written until the store is opened, and the journal read, again.
"""

from __future__ import annotations

import errno
import os
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from flowstone.store.journal_lines import encode_operation
from flowstone.store.journal_reader import JournalEnd

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from flowstone.store.journal_lines import Chain
    from flowstone.store.lock import OwnerLock

__all__ = ["JournalFile", "JournalLost", "linked_file", "sync_directory", "write_all"]

_FLAGS: Final = (
    os.O_RDWR | os.O_CREAT | os.O_APPEND | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)
)


class JournalLost(Exception):
    """The open journal is no longer the one at its path; the message says why, and what to do."""


class JournalFile:
    """A journal open for appending. All calls come from one thread.

    Args:
        path: The file, absolute; made if it is missing.
        end: Where its last whole line ends (`read_journal`); what is behind is cut off.
        lock: The lock that says that nobody else writes to it; held.
        mode: Permissions of a file that is made.
        closed: Whether its last line says that it was closed.

    Attributes:
        length: How long the journal is, in bytes; may be read from any thread.
    """

    def __init__(self, path: Path, end: JournalEnd, lock: OwnerLock, mode: int, *, closed: bool) -> None:
        assert end.chain is not None  # A journal of version 1 was rewritten.
        self._path = path
        self._lock = lock
        self._lost: JournalLost | None = None
        self._chain = end.chain
        self._closed = closed
        self._named = False  # Whoever made the file may have died before its name was durable.
        self.length = end.length
        self._file = os.open(path, _FLAGS, mode)
        try:
            self._clean = os.fstat(self._file).st_size == self.length
            self._cut()
            if self.length == 0:
                self._append(self._chain.header)
            elif end.unended:
                self._append(b"\n")
        except BaseException:
            self.close()
            raise

    def append(self, operations: Sequence[bytes]) -> None:
        """Write operations as lines and wait until the disk has them.

        Raises:
            OSError: The disk refused them, and nothing is appended; it may take them later.
            JournalLost: They are not in the journal, and nothing will be.
        """
        self.check()
        chain = self._chain.copy()
        self._append(chain.seal(operations))
        self._chain = chain
        self._closed = False
        self.check()

    def check(self) -> None:
        """Make sure that the file and its lock are still those at their paths. Raises as `append` does."""
        if self._lost is None:
            lost = self._look()
            if lost is None:
                return
            self._lost = JournalLost(lost)
        raise self._lost

    def place(self) -> JournalEnd:
        """Where it ends now."""
        return JournalEnd(self.length, self._chain.copy())

    def go_on_in(self, file: int, chain: Chain, length: int) -> int:
        """Append to another file from now on: one that says the same and has just taken this one's name.

        Returns the descriptor of the file before, to be closed where nobody waits: to free much space takes long.
        """
        before = self._file
        self._file, self._chain, self.length = file, chain, length
        self._clean = True
        self._closed = self._named = False
        with suppress(OSError):  # Then the next append does it first.
            self._name()
        return before

    def end(self) -> None:
        """Say in a last line, once, that nothing follows. Raises as `append` does."""
        if not self._closed:
            self.append([encode_operation(["closed"])])
            self._closed = True

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)

    def _look(self) -> str | None:
        """What has become of the file, or None."""
        own = os.fstat(self._file)
        try:
            there = self._path.stat()
        except (FileNotFoundError, NotADirectoryError):
            return (
                f"{self._path} is gone: it, or a directory above it, was removed or renamed while it was open"
            )
        if not os.path.samestat(own, there):
            return f"{self._path} is another file now: something replaced it while it was open"
        if own.st_size < self.length:
            return f"{self._path} was shortened by something else while it was open"
        if own.st_size > self.length and self._clean:
            return f"{self._path} was written to by something else while it was open"
        if not self._lock.held():
            return f"the lock beside {self._path} was removed or replaced, so another process may write too"
        return None

    def _append(self, lines: bytes) -> None:
        self._cut()
        self._clean = False
        try:
            write_all(self._file, lines)
            os.fsync(self._file)
            self._name()
        except OSError:
            with suppress(OSError):  # If the disk refuses even that, the next append does it first.
                self._cut()
            raise
        self.length += len(lines)
        self._clean = True

    def _name(self) -> None:
        """Make it durable that the file has its name, without which no line in it is."""
        if not self._named:
            sync_directory(linked_file(self._path).parent)
            self._named = True

    def _cut(self) -> None:
        if not self._clean:
            os.ftruncate(self._file, self.length)
            self._clean = True


def write_all(file: int, data: bytes) -> None:
    """Write all of it. Raises OSError."""
    rest = memoryview(data)
    while rest:
        written = os.write(file, rest)
        if written == 0:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        rest = rest[written:]


def linked_file(path: Path) -> Path:
    """The file that a symbolic link at this path leads to, else the path itself.

    A rename over the link would put a file in place of the link, and leave the journal it led to as it was.
    """
    with suppress(OSError, RuntimeError):  # A link to itself, for one: whoever opens the path says so.
        if path.is_symlink():
            return path.resolve()
    return path


def sync_directory(directory: Path) -> None:
    """Make a new name durable, where the system can. Raises OSError."""
    if os.name == "nt":
        return
    file = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(file)
    finally:
        os.close(file)
