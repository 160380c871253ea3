"""A new journal, written beside the one in use, and put in its place by a rename: all or nothing.

Until the rename the journal is the old file, whole; after it the new one, whole and on the disk. A process that
dies in between leaves a draft that nobody reads and the next opening removes.
"""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from flowstone.store.journal_file import linked_file, sync_directory, write_all
from flowstone.store.journal_lines import Chain, encode_operation
from flowstone.store.journal_reader import JournalEnd

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from flowstone.store.replay import Operation

__all__ = ["Draft", "draft_of", "open_draft", "put_in_place", "remove_draft", "rewrite"]

# Bytes made durable at a time, so that no fsync of others waits for all of them.
_PORTION: Final = 256 * 1024
_FLAGS: Final = os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND | getattr(os, "O_BINARY", 0)


class Draft:
    """A journal that is being written to a file opened for appending.

    Args:
        file: The file descriptor.
        end: Where what it holds ends; without it, the file is empty and gets a header.

    Attributes:
        file: As given.
        chain: The place of the last line.
        length: Bytes on the disk.
        size: Bytes on the disk, and those that the next `sync` writes.
    """

    def __init__(self, file: int, end: JournalEnd | None = None) -> None:
        self.file = file
        self.chain = Chain.new() if end is None or end.chain is None else end.chain
        self.length = 0 if end is None else end.length
        self._waiting: list[bytes] = [self.chain.header] if end is None else []
        self.size = self.length + sum(map(len, self._waiting))

    def add(self, operation: Operation) -> None:
        """Write an operation. Raises OSError."""
        self.add_body(encode_operation(operation))

    def add_body(self, body: bytes) -> None:
        """Write an operation that is bytes already. Raises OSError."""
        line = self.chain.seal([body])
        self._waiting.append(line)
        self.size += len(line)
        if self.size - self.length >= _PORTION:
            self.sync()

    def sync(self) -> None:
        """Make durable what was written. Raises OSError."""
        data = b"".join(self._waiting)
        self._waiting.clear()
        write_all(self.file, data)
        os.fsync(self.file)
        self.length += len(data)


def rewrite(path: Path, operations: Iterable[Operation], mode: int) -> JournalEnd:
    """Put other operations in place of a journal's, all or none; returns where they end.

    Raises OSError, and then the journal is as it was, or has been replaced and the change may not be durable.
    """
    file = open_draft(path, mode)
    try:
        draft = Draft(file)
        for operation in operations:
            draft.add(operation)
        draft.sync()
        put_in_place(path)
    except BaseException:
        remove_draft(path)
        raise
    finally:
        os.close(file)
    sync_directory(linked_file(path).parent)
    return JournalEnd(draft.length, draft.chain)


def open_draft(path: Path, mode: int) -> int:
    """Open an empty draft of a journal for appending, with its permissions, or `mode` if there is none yet."""
    with suppress(FileNotFoundError):
        mode = stat.S_IMODE(path.stat().st_mode)
    return os.open(draft_of(path), _FLAGS | getattr(os, "O_CLOEXEC", 0), mode)


def remove_draft(path: Path) -> None:
    """Remove a journal's draft, whoever left it."""
    with suppress(OSError):
        draft_of(path).unlink()


def put_in_place(path: Path) -> None:
    """Let a journal's draft take its place; a link to a journal stays a link. Raises OSError."""
    draft_of(path).replace(linked_file(path))


def draft_of(path: Path) -> Path:
    """Where the draft of a journal is: beside the file itself, so that a rename is all it takes."""
    file = linked_file(path)
    return file.with_name(file.name + ".new")
