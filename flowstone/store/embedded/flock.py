"""Locks that a crash cannot leave locked: flock, shared or exclusive, on a file that stays behind.

The kernel lets go of one when the last process that has the file open ends, and a child process that was
given the file has it open as well. So a server that inherits its lock file is alive exactly as long as the
file is locked: no process id has to be believed, which may be a zombie's, a stranger's or another container's.
"""

from __future__ import annotations

import os
import sys
import weakref
from contextlib import suppress
from typing import TYPE_CHECKING

if sys.platform != "win32":
    import fcntl

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Self

    from flowstone.store.embedded.account import Account

__all__ = ["Flock"]


class Flock:
    """A lock file, open from construction until `close`, and locked by none, some or one of those who opened it.

    Args:
        path: Made if it is missing, readable by its owner only: who may open a file may lock it.
        account: Owns the file.
    """

    def __init__(self, path: Path, account: Account) -> None:
        self._file: int | None = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        account.give(self._file)
        _close_in_forks(weakref.ref(self))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def fileno(self) -> int:
        assert self._file is not None
        return self._file

    def share(self) -> bool:
        """Lock it together with others, now or not at all."""
        return _try(self.fileno(), fcntl.LOCK_SH)

    def seize(self) -> bool:
        """Lock it alone, now or not at all. Who shared the lock before and fails may have lost its share."""
        return _try(self.fileno(), fcntl.LOCK_EX)

    def wait_for(self) -> None:
        """Lock it alone, however long that takes: for a process that has nothing else to do."""
        fcntl.flock(self.fileno(), fcntl.LOCK_EX)

    def release(self) -> None:
        """Lock it no more."""
        fcntl.flock(self.fileno(), fcntl.LOCK_UN)

    def taken(self) -> bool:
        """Whether somebody else has locked it; leaves it unlocked by us."""
        if not self.seize():
            return True
        self.release()
        return False

    def close(self) -> None:
        """Let go of the lock, unless a child process holds the file too."""
        file, self._file = self._file, None
        if file is not None:
            os.close(file)


def _try(file: int, how: int) -> bool:
    with suppress(BlockingIOError):
        fcntl.flock(file, how | fcntl.LOCK_NB)
        return True
    return False


def _close_in_forks(lock: weakref.ref[Flock]) -> None:
    # A forked child, such as a worker of a process pool, shall not count as a user when its parent is gone.
    def close() -> None:
        if (held := lock()) is not None:
            held.close()

    os.register_at_fork(after_in_child=close)
