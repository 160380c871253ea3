"""One process at a time: a lock file that says who holds it and that no crash can leave locked.

The lock is the operating system's (flock, or a locked byte on Windows) and goes with its process, so there
is no stale lock to clean up. The file stays behind, empty; to remove it would let two processes lock two
files of one name.
"""

from __future__ import annotations

import errno
import os
import sys
import weakref
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from flowstone.errors import StoreUnavailable

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["FileLock"]

_HELD: Final = (errno.EWOULDBLOCK, errno.EACCES, errno.EDEADLK)


class FileLock:
    """An exclusive lock on a file, held from `acquire` until `release` or the end of the process.

    Args:
        path: The file; made if it is missing.
        mode: Permissions of a file that is made.
    """

    def __init__(self, path: Path, mode: int = 0o600) -> None:
        self._path = path
        self._mode = mode
        self._file: int | None = None

    def acquire(self) -> None:
        """Take the lock at once. Raises `StoreUnavailable` naming the process that holds it, or OSError."""
        file = os.open(self._path, os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), self._mode)
        try:
            _lock(file)
        except OSError as error:
            holder = os.read(file, 20).decode(errors="replace").strip()
            os.close(file)
            if error.errno in _HELD:
                raise StoreUnavailable(self._refusal(holder)) from error
            raise
        self._file = file
        _close_in_forks(weakref.ref(self))
        with suppress(OSError):  # On a full disk; the name of the holder is only a courtesy.
            os.ftruncate(file, 0)
            os.write(file, f"{os.getpid()}\n".encode())

    def release(self) -> None:
        """Let go of the lock; does nothing if it is not held."""
        if self._file is None:
            return
        file, self._file = self._file, None
        with suppress(OSError):
            os.ftruncate(file, 0)
        os.close(file)

    def held(self) -> bool:
        """Whether it is held, and on the file that others who want it would meet. Raises OSError."""
        if self._file is None:
            return False
        try:
            return os.path.samestat(os.fstat(self._file), self._path.stat())
        except (FileNotFoundError, NotADirectoryError):
            return False

    def _refusal(self, holder: str) -> str:
        who = f"process {holder}" if holder.isdecimal() else "another process"
        if holder == str(os.getpid()):
            who = f"another store of this process ({holder})"
        return (
            f"the store in {self._path.parent} is in use by {who}; stop that one, use another directory, "
            "or use Postgres, which many processes may share"
        )


def _close_in_forks(lock: weakref.ref[FileLock]) -> None:
    """A forked child, such as a worker of a process pool, shall not hold the lock beyond its parent's death.

    To close its copy does not unlock the file; to keep it would, for as long as the child outlives a kill -9.
    """

    def close() -> None:
        held = lock()
        if held is not None and held._file is not None:
            os.close(held._file)
            held._file = None

    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=close)


if sys.platform == "win32":
    import msvcrt

    def _lock(file: int) -> None:
        # A byte far behind the text: a locked byte cannot be read, and others shall read who holds it.
        os.lseek(file, 1 << 20, os.SEEK_SET)
        msvcrt.locking(file, msvcrt.LK_NBLCK, 1)
        os.lseek(file, 0, os.SEEK_SET)

else:
    import fcntl

    def _lock(file: int) -> None:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
