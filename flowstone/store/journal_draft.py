"""A journal written anew beside the one in use, and put in its place by a rename: all or nothing.

Until the rename the journal is the old file, whole; after it the new one, whole and on the disk. A process that
dies in between leaves a draft that nobody reads and the next opening removes.
"""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from flowstone.store.journal_file import sync_directory, write_all
from flowstone.store.journal_lines import Chain, encode_operation
from flowstone.store.journal_reader import JournalEnd

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from flowstone.store.replay import Operation

__all__ = ["Draft", "remove_draft", "rewrite"]

_PORTION: Final = (
    256 * 1024
)  # Bytes made durable at a time, so that no fsync of others waits for all of them.
_FLAGS: Final = os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND | getattr(os, "O_BINARY", 0)


class Draft:
    """A journal that is being written; `discard` or `put_in_place` ends it.

    Args:
        path: The journal that it will replace; if there is one, the draft gets its permissions.
        mode: Permissions otherwise.

    Attributes:
        file: The file descriptor, opened for appending.
        chain: The place of the last line.
        length: Bytes on the disk.
        size: Bytes on the disk, and those that the next `sync` writes.
    """

    def __init__(self, path: Path, mode: int) -> None:
        self._path = path
        self.chain = Chain.new()
        self.length = 0
        self._waiting: list[bytes] = [self.chain.header]
        self.size = len(self.chain.header)
        with suppress(FileNotFoundError):
            mode = stat.S_IMODE(path.stat().st_mode)
        self.file = os.open(_draft_of(path), _FLAGS | getattr(os, "O_CLOEXEC", 0), mode)

    def add(self, operations: Iterable[Operation]) -> None:
        """Write operations. Raises OSError."""
        for operation in operations:
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

    def put_in_place(self) -> None:
        """Let it be the journal; it has been synced. Raises OSError, and then it is not."""
        _draft_of(self._path).replace(self._path)

    def discard(self) -> None:
        """Remove it."""
        os.close(self.file)
        remove_draft(self._path)


def rewrite(path: Path, operations: Iterable[Operation], mode: int) -> JournalEnd:
    """Put other operations in place of a journal's, all or none; returns where they end.

    Raises OSError, and then the journal is as it was, or has been replaced and the change may not be durable.
    """
    draft = Draft(path, mode)
    try:
        draft.add(operations)
        draft.sync()
        draft.put_in_place()
    except BaseException:
        draft.discard()
        raise
    os.close(draft.file)
    sync_directory(path.parent)
    return JournalEnd(draft.length, draft.chain)


def remove_draft(path: Path) -> None:
    """Remove what a process that died left of a draft."""
    with suppress(OSError):
        _draft_of(path).unlink()


def _draft_of(path: Path) -> Path:
    return path.with_name(path.name + ".new")
